"""Runs a file as if its lines were pasted into `python -m asyncio`: `python pasted.py FILE`.

The prompt of Python 3.11 and 3.12 takes one line after the other: a blank line ends a statement, and a statement that
ends without one is not complete. Later ones take a whole paste. What runs here runs in all of them. Unlike there,
nothing is imported, and the first error ends the process.
"""

import ast
import asyncio
import builtins
import codeop
import sys
from collections.abc import Iterator
from inspect import isawaitable
from pathlib import Path
from types import CodeType, FunctionType


def statements(source: str, name: str) -> Iterator[CodeType]:
    """Yield the code of each statement, as soon as its last line was given."""
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    given: list[str] = []
    for line in [*source.splitlines(), ""]:
        given.append(line)
        code = compiler("\n".join(given), name, "single")
        if code is not None:
            yield code
            given = []
    if any(line.strip() for line in given):
        raise SyntaxError(f"{name}: the last statement is not complete")


async def run(source: str, name: str) -> None:
    """Run the statements in the running loop, one after the other."""
    namespace: dict[str, object] = {"__name__": "__main__", "__builtins__": builtins}
    for code in statements(source, name):
        result = FunctionType(code, namespace)()
        if isawaitable(result):
            await result


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]).read_text("utf-8"), sys.argv[1]))
