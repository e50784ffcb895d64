"""Damaged files: each is read, or refused in one sentence, whatever has become of its bytes."""

import contextlib
import tempfile
from pathlib import Path
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reader_corpus import BUSINESS, READ, REFUSED

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers import ReadingOptions, open_source

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(
    name for name in {*(case.file for case in READ), *(file for file, _ in REFUSED)} if (CORPUS / name).is_file()
)
PIECES = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(
        [b'"', b",", b";", b"\t", b"\r", b"\n", b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"{", b"[", b"]", b"\x80", b"\xed"]
    ),
)
CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 64), PIECES, st.booleans()), min_size=1, max_size=6)


def changed(data: bytes, changes: list[tuple[float, int, bytes, bool]]) -> bytes:
    """Return bytes with pieces of them replaced, doubled or cut off."""
    for place, length, piece, is_cut in changes:
        start = int(place * len(data))
        if is_cut and length == 0:
            data = data[:start]
        elif is_cut:
            data = data[:start] + data[start : start + length] + data[start:]
        else:
            data = data[:start] + piece + data[start + length :]
    return data


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(file=st.sampled_from(FILES), changes=CHANGES, ids_only=st.booleans())
def test_a_damaged_file_is_read_or_refused(
    file: str, changes: list[tuple[float, int, bytes, bool]], ids_only: bool
) -> None:
    """Nothing but a sentence comes of it, and every item has ids."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_bytes(changed((CORPUS / file).read_bytes(), changes))
        bad = Path(folder) / "invalid"
        with contextlib.suppress(SourceError):
            source = open_source(
                path, business_id=BUSINESS, options=ReadingOptions(ids_only=ids_only), invalid_lines=bad
            )
            check = source.check()
            items = list(source)
            assert len(items) == check.items
            assert all(isinstance(each.customer_id, UUID) for each in items)
