"""Which API a journal's run archives at: what the journal says holds only there."""

from collections.abc import Mapping

from thredfi_async.bulk.errors import JournalError
from thredfi_async.bulk.journal.journal import Journal


def other_api(facts: Mapping[str, str], base_url: str) -> str | None:
    """Return where a run was begun, if that is another API than this; None if it is this one, or is not known."""
    begun_at = facts.get("base_url")
    return None if begun_at == base_url else begun_at


def keep_api(journal: Journal, *, base_url: str | None, allow_host_change: bool) -> None:
    """Write down where a run archives; refuse another API than before.

    Args:
        journal: The run's journal.
        base_url: The client's base URL; None if that is not known, and nothing can be said.
        allow_host_change: Whether it may be another one than before.

    Raises:
        JournalError: It is another one, and may not be; or the journal cannot be written.
    """
    if base_url is None:
        return
    facts = journal.run
    other = other_api(facts, base_url)
    if other is not None and not allow_host_change:
        raise JournalError(
            f"the journal {journal.path} is of a run at {other}, and the client's base_url is {base_url}: "
            "use a client for that API, or allow_host_change=True if the API itself has moved"
        )
    # Over a queue, workers send, each to the API of its own settings.
    if facts.get("base_url") != base_url and "queue" not in facts:
        journal.describe(base_url=base_url)
