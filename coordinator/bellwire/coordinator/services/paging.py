"""Pages of a list that is ordered by a text key (AIP-158)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from bellwire.wire.errors import CallerError

T = TypeVar("T")
PAGE_SIZE_DEFAULT: Final = 100
PAGE_SIZE_MAX: Final = 1_000


def page_of(
    items: Sequence[T], key: Callable[[T], str], page_size: int, page_token: str
) -> tuple[list[T], str]:
    """Return the items after the token, and the token of the next page; "" on the last.

    Raises:
        CallerError: The page size is out of bounds.
    """
    if not 0 <= page_size <= PAGE_SIZE_MAX:
        raise CallerError(f"page_size is {page_size}, 0 to {PAGE_SIZE_MAX} are allowed")
    rest = [item for item in items if key(item) > page_token] if page_token else list(items)
    page = rest[: page_size or PAGE_SIZE_DEFAULT]
    return page, key(page[-1]) if len(page) < len(rest) else ""
