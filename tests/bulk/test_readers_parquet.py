from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from reader_files import BUSINESS, CUSTOMER, ITEM, body_of, full_row, read

from thredfi_async import UNSET, CustomerRequest
from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers import open_source

pa: Any = import_module("pyarrow")  # it ships no types
pq: Any = import_module("pyarrow.parquet")


def saved(folder: Path, columns: dict[str, Any], **options: Any) -> Path:
    """Save columns as Parquet."""
    path = folder / "a.parquet"
    pq.write_table(pa.table(columns), path, **options)
    return path


def columns(*rows: dict[str, Any]) -> dict[str, list[Any]]:
    """Turn rows into columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_every_column_arrives_with_its_own_type(tmp_path: Path) -> None:
    """Lists and structs are JSON as they are, and a null leaves its field out."""
    (one, two), bad = read(saved(tmp_path, columns(full_row(), full_row(notes=None, payment_terms_days=None))))
    wanted = {name: value for name, value in full_row().items() if name not in {"business_id", "customer_id"}}
    assert (body_of(one), bad) == (CustomerRequest.from_mapping(wanted), [])
    assert (body_of(two).notes, body_of(two).payment_terms_days) == (UNSET, UNSET)


def test_json_may_stand_in_text(tmp_path: Path) -> None:
    """Where tags and metadata are text, the text is JSON, and wrong JSON is an invalid row."""
    rows = [full_row(metadata='{"a": 1}', transaction_tags="[]"), full_row(metadata="{", transaction_tags="[]")]
    (item,), (bad,) = read(saved(tmp_path, columns(*rows)))
    assert (body_of(item).metadata, bad.line, bad.column) == ({"a": 1}, 2, "metadata")


@pytest.mark.parametrize("kind", ["binary", "uuid", "dictionary"])
def test_ids_may_be_uuids(tmp_path: Path, kind: str) -> None:
    """16 bytes, Arrow's own UUIDs, and dictionaries of text are ids as well as plain text is."""

    def column(text: str) -> Any:
        if kind == "dictionary":
            return pa.array([text]).dictionary_encode()
        stored = pa.array([UUID(text).bytes], pa.binary(16))
        return stored if kind == "binary" else pa.ExtensionArray.from_storage(pa.uuid(), stored)

    path = saved(tmp_path, {"business_id": column(BUSINESS), "customer_id": column(CUSTOMER)})
    source = open_source(path)
    assert (list(source), source.count_lines(), source.has_bodies) == ([ITEM], 1, False)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("payment_terms_days", ["30"], "column payment_terms_days: has the type string, and must be integers"),
        ("tax_exempt", ["true"], "column tax_exempt: has the type string, and must be boolean"),
        ("notes", [5], "column notes: has the type int64, and must be text"),
        ("customer_id", [5], "column customer_id: has the type int64, and must be text or a UUID"),
        ("emial", ["x"], "columns that are not known: emial. Known are: business_id"),
    ],
)
def test_a_column_of_another_type_is_refused_at_once(tmp_path: Path, name: str, values: list[Any], said: str) -> None:
    """The schema tells before the first row."""
    with pytest.raises(SourceError) as caught:
        open_source(saved(tmp_path, {**columns(full_row()), name: values}))
    assert said in str(caught.value)


def test_rows_that_are_wrong(tmp_path: Path) -> None:
    """An invalid row has its number, and goes to the file of invalid lines as JSON."""
    rows = [full_row(), full_row(customer_id="x"), full_row(email="ada"), full_row()]
    rejected = tmp_path / "rejected.jsonl"
    items, bad = read(saved(tmp_path, columns(*rows), row_group_size=2), invalid_lines=rejected)
    assert (len(items), [(each.line, each.column) for each in bad]) == (2, [(2, "customer_id"), (3, "email")])
    assert rejected.read_bytes().count(b"\n") == 2
    assert b'"email":"ada"' in rejected.read_bytes()


def test_a_file_without_rows_or_cut_short(tmp_path: Path) -> None:
    """No rows are no run; half a file is no file."""
    path = saved(tmp_path, {"business_id": pa.array([], pa.string()), "customer_id": pa.array([], pa.string())})
    with pytest.raises(SourceError, match="has a header and no records"):
        open_source(path)
    path = saved(tmp_path, columns(full_row()))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match="is not a Parquet file, or is cut short"):
        open_source(path)


def test_damaged_rows_are_a_sentence(tmp_path: Path) -> None:
    """Where the footer is whole and the rows are not, reading stops with the file's name."""
    path = saved(tmp_path, columns(*[full_row(external_id=str(n)) for n in range(100)]), compression="zstd")
    data = bytearray(path.read_bytes())
    data[4:400] = b"\xff" * 396
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match=r"a\.parquet is damaged: its (rows|pages) cannot be read"):
        list(open_source(path))
