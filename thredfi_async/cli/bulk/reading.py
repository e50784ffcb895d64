"""The options of every command that reads a file of customers, and what is asked or refused before it is used."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thredfi_async._checks.text import printable
from thredfi_async.cli.bulk import options as bulk
from thredfi_async.cli.command_line import Bundle
from thredfi_async.cli.error_report import ReportedError

if TYPE_CHECKING:
    from thredfi_async.bulk.readers import ReadingOptions, Source
    from thredfi_async.cli.bulk.source import InvalidLines

IdsOnly = Annotated[
    bool,
    typer.Option("--ids-only", help="Take the ids and leave the rest: the server's own records are sent."),
]
IgnoreExtraColumns = Annotated[
    bool, typer.Option("--ignore-extra-columns", help="Leave out columns that are not known.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME=THEIRS",
        help="The file's own name of a column, such as customer_id='Customer ID'; repeatable. "
        "Or a file with one such a line.",
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        "--encoding", metavar="NAME", help="The text's encoding, such as windows-1252.  [default: UTF-8 or UTF-16]"
    ),
]
Sheet = Annotated[
    str | None, typer.Option("--sheet", metavar="NAME", help="The sheet of a workbook.  [default: the first]")
]
Null = Annotated[
    list[str] | None,
    typer.Option("--null", metavar="WORD", help="A word that stands for no value, such as NULL; repeatable."),
]
AsIs = Annotated[
    bool, typer.Option("--as-is", help="Send values as they stand that may have been spoiled, such as #N/A.")
]
_SAMPLES: Final = 3


def reading_of(  # noqa: PLR0913 - a parameter for each option
    *,
    source: bulk.Source,
    business_id: bulk.Business = None,
    format: bulk.Format = None,  # noqa: A002 - the option's name
    allow_missing_fields: bulk.AllowMissingFields = False,
    invalid_lines: bulk.InvalidLines = None,
    ids_only: IdsOnly = False,
    ignore_extra_columns: IgnoreExtraColumns = False,
    columns: Columns = None,
    encoding: Encoding = None,
    sheet: Sheet = None,
    null: Null = None,
    as_is: AsIs = False,
) -> "Reading":
    """Return what the options say.

    Args:
        source: The file, or `-`.
        business_id: `--business-id`.
        format: `--format`.
        allow_missing_fields: `--allow-missing-fields`.
        invalid_lines: `--invalid-lines`.
        ids_only: `--ids-only`.
        ignore_extra_columns: `--ignore-extra-columns`.
        columns: `--column`.
        encoding: `--encoding`.
        sheet: `--sheet`.
        null: `--null`.
        as_is: `--as-is`.

    Returns:
        The file, and how it is read.

    Raises:
        ReportedError: One of the options cannot be.
    """
    from thredfi_async.bulk.readers import ReadingOptions  # noqa: PLC0415 - slow, and for these commands alone
    from thredfi_async.cli.bulk.preflight_errors import preflight_errors  # noqa: PLC0415 - as above

    with preflight_errors():
        options = ReadingOptions(
            ids_only=ids_only,
            ignore_extra_columns=ignore_extra_columns,
            columns=_mapping(columns or ()),
            encoding=encoding,
            sheet=sheet,
            null=tuple(null or ()),
            as_is=as_is,
        )
    return Reading(
        source=source,
        options=options,
        business_id=business_id,
        format=format,
        allow_missing_fields=allow_missing_fields,
        invalid_lines=invalid_lines,
    )


def _mapping(given: Sequence[str]) -> dict[str, str]:
    found = dict[str, str]()
    for each in given:
        lines = [each] if "=" in each else _lines(Path(each))
        for line in lines:
            ours, _, theirs = line.partition("=")
            name = ours.strip().lower()
            if name in found:
                raise typer.BadParameter(f"{name} is given more than once", param_hint="--column")
            found[name] = theirs.strip().strip("\"'")
    return found


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise typer.BadParameter(
            "give NAME=THEIRS, such as customer_id='Customer ID', or a file that has a line of that form for each",
            param_hint="--column",
        ) from None
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def repeated(options: "ReadingOptions") -> list[str]:
    """Return the options as they are typed."""
    words = ["--ids-only"] if options.ids_only else []
    words += ["--ignore-extra-columns"] if options.ignore_extra_columns else []
    for ours, theirs in options.columns.items():
        words += ["--column", f"{ours}={theirs}"]
    for name, value in (("--encoding", options.encoding), ("--sheet", options.sheet)):
        words += [name, value] if value is not None else []
    for word in options.null:
        words += ["--null", word]
    return [*words, "--as-is"] if options.as_is else words


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A file, and how a command reads it.

    Args:
        source: The file, or `-`.
        business_id: The business of every line, if the file does not say it.
        format: The file's format, if its name does not say it.
        allow_missing_fields: Whether columns of the body may be missing.
        invalid_lines: Where invalid lines are copied to.
        options: How it is read otherwise.
    """

    source: str
    options: "ReadingOptions"
    business_id: str | None = None
    format: str | None = None
    allow_missing_fields: bool = False
    invalid_lines: Path | None = None

    def open(self, bad: "InvalidLines", *, json: bool) -> "Source":
        """Open the file; ask about its encoding on a terminal, if that is not certain.

        Args:
            bad: Takes its invalid lines.
            json: Whether a machine reads the output, which answers no questions.

        Returns:
            The source, to be closed.

        Raises:
            ReportedError: It cannot be used; with the command that can, if there is one.
        """
        from thredfi_async.cli.bulk.preflight_errors import preflight_errors  # noqa: PLC0415 - as above

        try:
            with preflight_errors():
                return _opened(self, bad, json=json)
        except ReportedError as error:
            error.correct = self.correction()
            raise

    def correction(self) -> Callable[[Sequence[str]], str | None] | None:
        """Return what makes the command right that could not read the file; None if that cannot be told."""
        from thredfi_async.bulk.readers.proposal import proposal_for  # noqa: PLC0415 - as above
        from thredfi_async.cli.bulk.correction import Correction  # noqa: PLC0415 - as above

        found = proposal_for(
            self.source,
            business_id=self.business_id,
            format=self.format,
            allow_missing_fields=self.allow_missing_fields,
            options=self.options,
        )
        return None if found is None else Correction(self.options, found, has_business=self.business_id is not None).of


FromFile = Annotated[Reading, Bundle(reading_of)]
"""The file and the options of every command that reads one."""


def _opened(reading: Reading, bad: "InvalidLines", *, json: bool) -> "Source":
    from thredfi_async.bulk.readers import EncodingError, open_source  # noqa: PLC0415 - as above

    try:
        return open_source(
            reading.source,
            business_id=reading.business_id,
            format=reading.format,
            allow_missing_fields=reading.allow_missing_fields,
            invalid_lines=reading.invalid_lines,
            on_invalid_line=bad,
            options=reading.options,
        )
    except EncodingError as error:
        if error.likely is None or json or not _agrees(error.likely, error.samples):
            raise
        agreed = reading.options.in_encoding(error.likely)
    return _opened(replace(reading, options=agreed), bad, json=json)


def _agrees(encoding: str, samples: Sequence[str]) -> bool:
    """Show lines as they would be read, and ask whether they are right."""
    from thredfi_async.cli.bulk.endpoint import somebody_is_there  # noqa: PLC0415 - as above
    from thredfi_async.cli.output import tell  # noqa: PLC0415 - as above

    if not somebody_is_there():
        return False
    tell(f"The file is not UTF-8. As {encoding}, it says:", *(f"  {sample}" for sample in samples[:_SAMPLES]))
    return typer.confirm(printable("Are these letters right?"), err=True)
