"""The states in which an item may end."""

import enum
from typing import Final


class ItemState(enum.StrEnum):
    """The outcome of one item; the first three are final, a resumed run sends the others again."""

    ARCHIVED = "archived"
    """The server shows the customer archived, and a request of ours can have done it."""
    ALREADY_ARCHIVED = "already_archived"
    """The customer was archived before anything of ours can have done it."""
    REJECTED = "rejected"
    """The API, or the check before sending, refused this item, and would again."""
    FAILED = "failed"
    """Certainly not applied, for a reason that may pass."""
    UNKNOWN = "unknown"
    """A request may have been applied, or may still be on its way."""

    @property
    def is_final(self) -> bool:
        """Whether nothing is left to do for the item."""
        return self in _FINAL

    @property
    def is_success(self) -> bool:
        """Whether the customer is archived."""
        return self in _SUCCESS


_SUCCESS: Final = frozenset({ItemState.ARCHIVED, ItemState.ALREADY_ARCHIVED})
_FINAL: Final = _SUCCESS | {ItemState.REJECTED}
