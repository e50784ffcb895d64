"""The files of `tests/bulk/readers/corpus`, each with what is read of it, or the sentence that refuses it."""

from typing import Any

import attrs

BUSINESS = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
CUSTOMERS = (
    "516da9bd-1dc4-478b-8882-31bb109e5b06",
    "8ddc9d1f-4cdc-47ba-8470-88b0e7359f41",
    "ca4b9081-0343-4f69-8ef1-9424242e2f98",
)
ALL = (0, 1, 2)
NO_COLUMN = r"no column is customer_id\. The columns are: "
UNKNOWN = "columns that are not known: "
SPOILED = "holds "
HIDDEN = "is hidden in the sheet, as by a filter: show all rows"
CALCULATE = "is empty, and must be a UUID; if a formula gives it, open the file in a spreadsheet and save it"


@attrs.frozen
class Case:
    """A file, how it is read, and what of it is read."""

    file: str
    options: dict[str, Any] = attrs.field(factory=dict[str, Any])
    business: bool = True
    """Whether the business is given, and does not stand in the file."""
    items: tuple[int, ...] = ALL
    bodies: bool = False
    invalid: tuple[tuple[int, str], ...] = ()
    """The invalid lines, each with the beginning of its reason."""
    skipped: dict[str, int] = attrs.field(factory=dict[str, int])

    def __str__(self) -> str:
        return f"{self.file}-{'-'.join(self.options)}"


IDS = {"ids_only": True}
READ = (
    # Services.
    Case("shopify.csv", IDS),
    Case("hubspot.csv", {"ids_only": True, "columns": {"customer_id": "Thredfi ID"}}),
    Case(
        "stripe.csv",
        {"ignore_extra_columns": True, "ids_only": True, "columns": {"customer_id": "THREDFI ID (metadata)"}},
    ),
    Case("xero.csv", {"ids_only": True, "columns": {"customer_id": "AccountNumber"}}),
    Case(
        "quickbooks.csv", IDS, invalid=((11, "has 2 columns, and the header has 4"),), skipped={"titles": 3, "blank": 2}
    ),
    Case("datev.csv", IDS),
    Case("datev.csv", {"encoding": "windows-1252", "ignore_extra_columns": True}),
    # Spreadsheets' text.
    Case(
        "excel_german.csv",
        items=(0, 1),
        bodies=True,
        invalid=((5, "must be a whole number in plain digits"),),
    ),
    Case("excel_unicode_text.txt", bodies=True),
    Case("utf16be_without_mark.csv", business=False),
    Case("excel_mac.csv", business=False),
    Case("excel_blank_rows.csv", business=False, skipped={"blank": 4}),
    Case("google_sheets.csv", business=False, bodies=True),
    Case("numbers.csv", IDS, skipped={"titles": 1}),
    Case("pipes.txt", business=False),
    Case("tabs.tsv", business=False),
    Case("title_and_comments.csv", business=False, skipped={"titles": 2, "comments": 3}),
    Case("header_twice.csv", business=False, skipped={"headers": 2}),
    Case("ids_in_many_forms.csv", items=(*ALL, *ALL, 0, 1), invalid=((10, "must be a UUID such as"),)),
    Case("nul_in_a_cell.csv", items=(0, 2), bodies=True, invalid=((3, "holds a NUL character"),)),
    Case("mixed_encodings.csv", IDS, items=(0, 1)),
    Case("text_named.xls", {"format": "csv"}, business=False),
    Case("no_customer.csv", items=(), invalid=((2, "must be a UUID"), (3, "must be a UUID"), (4, "must be a UUID"))),
    Case("unclosed_quote.csv", IDS, items=(0,), invalid=((3, "has a quote that is opened and never closed"),)),
    # What may have been spoiled.
    Case("excel_errors.csv", items=(2,), bodies=True, invalid=((2, SPOILED), (3, SPOILED))),
    Case("excel_errors.csv", IDS),
    Case("excel_errors.csv", {"as_is": True, "null": ("#N/A", "NULL")}, bodies=True),
    Case("kept_as_text.csv", items=(), bodies=True, invalid=((2, SPOILED), (3, SPOILED), (4, SPOILED))),
    Case("kept_as_text.csv", {"as_is": True}, bodies=True),
    Case("mysql.csv", items=(), bodies=True, invalid=((2, SPOILED), (3, SPOILED), (4, SPOILED))),
    Case("mysql.csv", {"null": ("\\N",)}, bodies=True),
    Case("pandas_floats.csv", items=(0, 1), bodies=True, invalid=((4, SPOILED),)),
    Case("pandas_index.csv"),
    # JSON.
    Case("own_list.jsonl"),
    Case("own_list_with_business.jsonl", business=False),
    Case("not_archived.csv", business=False),
    Case("array.json", business=False),
    Case("pretty_array.json", business=False),
    Case("pretty_objects.json", business=False),
    Case("stripe.json", {"ids_only": True, "columns": {"customer_id": "metadata.thredfi_id"}}),
    Case("quickbooks.json", IDS),
    Case("hubspot.json", {"ids_only": True, "columns": {"customer_id": "properties.thredfi_id"}}),
    Case(
        "pandas_records.jsonl",
        items=(0,),
        bodies=True,
        invalid=((2, "holds NaN"), (3, "must be an integer, not float")),
    ),
    # Workbooks.
    Case("customers.xlsx", bodies=True, skipped={"titles": 1, "blank": 1}),
    Case("spoiled.xlsx", items=(2,), bodies=True, invalid=((2, "holds a number, and not text"), (3, "holds #N/A"))),
    Case("spoiled.xlsx", {"as_is": True, "null": ("#N/A",)}, bodies=True),
    Case("second_sheet.xlsx", {"sheet": "kunden", "ids_only": True}, business=False),
    Case("far_cell.xlsx", items=(0,), invalid=((20_000, "has 16384 columns"),), skipped={"blank": 19_997}),
    Case("customers.xls", items=(0,), bodies=True, invalid=((3, "holds #N/A"), (4, "holds a date or a time"))),
    Case("customers.xls", IDS),
    # Parquet.
    Case("pandas_index.parquet"),
    Case("binary_ids.parquet", IDS, business=False),
    Case("decimals.parquet", items=(0, 1), bodies=True, invalid=((3, "must be a whole number"),)),
    Case("parts.parquet", business=False),
    # Services, databases and tools, as they write ids among other columns.
    Case("hubspot_all_quoted.csv", {"ids_only": True, "columns": {"customer_id": "Thredfi Customer ID"}}),
    Case("salesforce.csv", {"ids_only": True, "columns": {"customer_id": "Thredfi_Customer_Id__c"}}),
    Case("pipedrive.csv", {"ids_only": True, "columns": {"customer_id": "Person - Customer ID"}}),
    Case("sage.csv", {"ids_only": True, "columns": {"customer_id": "Analysis 1"}}),
    Case("zoho.csv", IDS),
    Case("odoo.csv", IDS),
    Case("airtable.csv", IDS),
    Case("datev_extf.csv", IDS, skipped={"titles": 1}),
    Case("psql.txt", IDS, invalid=((2, "has 1 column"), (6, "has 1 column"))),
    Case("mysql_box.txt", IDS, invalid=((3, "has 1 column"), (7, "has 1 column")), skipped={"titles": 1}),
    Case(
        "titles_and_totals.csv",
        IDS,
        invalid=((11, "must be a UUID"),),
        skipped={"titles": 3, "blank": 1, "without_ids": 1},
    ),
    Case("two_id_columns.csv", {"ids_only": True, "columns": {"customer_id": "Customer ID"}}),
    Case(
        "umlaut_in_id_column.csv",
        {"ids_only": True, "encoding": "windows-1252", "columns": {"customer_id": "Kunden-Schlüssel"}},
    ),
    Case("mac_roman.csv", IDS),
    Case("sep_line_bom.csv", IDS),
    Case("trailing_empty_columns.csv", IDS),
    Case("line_end_in_header.csv", IDS),
    Case("mixed_line_ends.csv", IDS),
    Case("one_column.csv"),
    Case("ids_cut_off.csv", IDS, items=(1, 2), invalid=((2, "must be a UUID"),)),
    Case("nul_padding.csv", IDS, invalid=((5, "has 1 column"),)),
    Case("short_rows.csv", IDS, items=(1, 2), invalid=((2, "has 1 column, and the header has 3"),)),
    Case(
        "backslashes.csv",
        IDS,
        items=(),
        invalid=tuple((line, "has a closing quote that is not followed by ','") for line in (2, 3, 4)),
    ),
    Case("tabs_utf16_named.xls", {"ids_only": True, "format": "csv"}),
    Case("packed.csv.gz"),
    Case("data_wrapper.json"),
    Case("marked.jsonl"),
    Case("utf16.jsonl"),
    Case("array_named.jsonl", {"format": "json"}),
    Case("nested_customers.json", {"ids_only": True, "columns": {"customer_id": "customer.id"}}),
    Case("graphql.json", {"ids_only": True, "columns": {"customer_id": "node.customer_id"}}),
    Case("hidden_first_sheet.xlsx", IDS),
    Case("hidden_sheet.xlsx", {"ids_only": True, "sheet": "B"}),
    Case("empty_first_sheet.xlsx", {"ids_only": True, "sheet": "data"}),
    Case("filtered_rows.xlsx", IDS, items=(1,), invalid=((2, HIDDEN), (4, HIDDEN))),
    Case("filtered_rows.xls", IDS, items=(0, 2), invalid=((3, HIDDEN),)),
    Case("other_formulas.xlsx", IDS),
    Case("ids_by_formula.xlsx", IDS, items=(), invalid=tuple((line, CALCULATE) for line in (2, 3, 4))),
    Case("ids_as_numbers.xlsx", IDS, items=(), invalid=tuple((line, "must be a UUID as text") for line in (2, 3, 4))),
    Case("table_in_the_middle.xlsx", IDS),
    Case(
        "titles_and_totals.xlsx",
        IDS,
        skipped={"titles": 1, "without_ids": 1},
    ),
    Case("dictionary.parquet"),
    Case("large_string.parquet"),
    Case("uuid_type.parquet"),
    Case("ids_as_bytes.parquet"),
)

REFUSED = (
    ("shopify.csv", f"line 1: {UNKNOWN}First Name, Last Name, .*Known are: Customer ID, Email\\. .*add --ids-only"),
    ("hubspot.csv", f"line 1: {NO_COLUMN}Record ID, First Name, .*Thredfi ID, Create Date\\. .*--column customer_id="),
    ("stripe.csv", f"line 1: {NO_COLUMN}id, Description, Email"),
    ("xero.csv", f"line 1: {NO_COLUMN}\\*ContactName, AccountNumber"),
    ("quickbooks.csv", f"line 5: {UNKNOWN}Customer full name, Phone numbers\\. Known are: Email, Customer ID"),
    ("datev.csv", "line 1: is not UTF-8 text\\. It may be Windows-1252, .*--encoding windows-1252"),
    ("mixed_encodings.csv", "line 3: is not UTF-8 text, and other lines are, so that none is read"),
    ("numbers.csv", f"line 2: {UNKNOWN}Name\\."),
    ("no_header.csv", "line 1: the line that should name the columns is a record, which is not shown"),
    ("header_of_others.csv", "line 3: names columns again, and others than before"),
    ("web_page.xls", "is a web page or XML, whatever its name says"),
    ("text_named.xls", "is no workbook: .*give --format csv"),
    ("stripe.json", f"line 1: {NO_COLUMN}id, object, email, metadata\\."),
    ("quickbooks.json", f"line 1: {UNKNOWN}Id, DisplayName\\."),
    ("hubspot.json", f"line 1: {NO_COLUMN}id, properties.email, properties.thredfi_id, archived\\."),
    ("two_lists.json", "has more than one list of objects"),
    ("cut_short.json", "line 1: it is not JSON, so that the rest of the file cannot be read"),
    ("second_sheet.xlsx", 'ids are not in the first sheet, Cover: add --sheet "Kunden"'),
    ("binary_ids.parquet", f"{UNKNOWN}region\\. Known are: business_id, customer_id\\."),
    ("same_id_column_twice.csv", "stands there more than once \\(customer_id, customer_id\\): rename one of them"),
    ("one_column_no_header.csv", "line 1: the line that should name the columns is a record, which is not shown: put"),
    ("no_records.csv", "has a header and no records"),
    ("packed_named.csv", "is compressed with gzip; a file's name has to end in .gz"),
    ("packed.zip", "cannot be read: unpack it, and name the file within"),
    ("zip_named.xlsx", "is no workbook that can be read: open it in a spreadsheet, and save it again"),
    ("ods_named.xlsx", "is no workbook that can be read: open it in a spreadsheet, and save it again"),
    ("web_page_utf16.xls", "is a web page or XML, whatever its name says: open it in a spreadsheet and save it as CSV"),
    ("mail_page.xls", "is a web page or XML, whatever its name says: open it in a spreadsheet and save it as CSV"),
    ("tabs_utf16_named.xls", "is no workbook: .*give --format csv"),
    ("data_and_included.json", "has more than one list of objects"),
    ("array_named.jsonl", "is one JSON document, and has no object on each line: give --format json"),
    ("array_named.csv", "is JSON, going by its beginning: give --format json"),
    ("table_named.json", "is no JSON, which begins with \\[ or {: if it is CSV, give --format csv"),
    ("table_named.parquet", "is not a Parquet file, or is cut short; if it is text, give --format csv"),
    ("array_of_ids.json", "line 1: must be an object, not string"),
    ("nested_customers.json", f"line 1: {NO_COLUMN}order, customer.id, customer.name\\."),
    ("struct_of_customer.parquet", f"{NO_COLUMN}customer\\."),
    ("list_of_ids.parquet", "column customer_id: has the type list, and must be text or a UUID"),
    ("partitions.parquet", "has folders in it, whose names may be columns: name one of them, or one file"),
    ("empty_first_sheet.xlsx", 'ids are not in the first sheet, Sheet: add --sheet "Data"'),
    ("hidden_sheet.xlsx", f"line 1: {NO_COLUMN}x\\."),
)
