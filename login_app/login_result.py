"""The result of a login, once its admission is committed: tokens, and the names of the devices whose sessions ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from msgspec import Struct

from common.account.admission import Admission, IssuedTokens, LoginResult
from common.account.book import Book, Session
from common.storage.port import StoreUnavailable


class IssueTokens(Protocol):
    """How a session gets its tokens, from the session manager."""

    def __call__(self, book: Book, username: str, session: Session) -> IssuedTokens:
        """Return the tokens."""


class LoginResults(Struct, frozen=True):
    """Makes results. `names`: a user's devices' names by id.

    `has_lost_codes` says whether a user had recovery codes and, since the store's generation began, has none left.
    """

    names: Callable[[str], Mapping[str, str]]
    issue_tokens: IssueTokens
    has_lost_codes: Callable[[str], bool]

    def __call__(self, username: str, admitted: Admission) -> LoginResult:
        """Return what the device of a committed admission is told: a store that is unavailable costs names only."""
        book, names = admitted.draft.book, dict[str, str]()
        has_lost_codes = False
        with suppress(StoreUnavailable):
            has_lost_codes = book.generation > 0 and self.has_lost_codes(book.user_uuid)
        if admitted.evicted:
            with suppress(StoreUnavailable):
                names.update(self.names(book.user_uuid))
        evicted = tuple((s, s.device_name or names.get(s.device_id)) for s in admitted.evicted)
        tokens = self.issue_tokens(book, username, admitted.session)
        return LoginResult(tokens, evicted, has_lost_codes=has_lost_codes)
