"""Reports on a bulk run: a summary, the failures as CSV, and one self-contained page of HTML.

All of it is read from a journal, while a run writes it or afterwards, and none of it is personal data.
"""

from thredfi_async.bulk.line_counts import Counts
from thredfi_async.bulk.report.not_archived import write_not_archived_csv
from thredfi_async.bulk.report.page import write_html
from thredfi_async.bulk.report.summary import Reason, Summary, summary
from thredfi_async.bulk.verdict import Outcome, Step, Verdict

__all__ = [
    "Counts",
    "Outcome",
    "Reason",
    "Step",
    "Summary",
    "Verdict",
    "summary",
    "write_html",
    "write_not_archived_csv",
]
