"""Names from newer standard libraries, or their backports on older Pythons; and which of aiohttp's parsers runs."""

import sys

from aiohttp.http_parser import HttpResponseParser, HttpResponseParserPy

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["PARSES_IN_PYTHON", "zstd"]

PARSES_IN_PYTHON = HttpResponseParser is HttpResponseParserPy
"""Whether answers are parsed in Python: with AIOHTTP_NO_EXTENSIONS=1, or where pip took the pure wheel."""
