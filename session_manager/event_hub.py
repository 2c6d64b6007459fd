"""The open streams of this process: who listens for the end of which session. For one event loop and its thread.

It knows neither store nor wire. Bounds keep anybody from using up the process.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection

from msgspec import Struct

from common.errors import Code, Refusal
from common.granting import Caller
from session_manager.event_model import Notice, StreamLimits

_RETRY_SECONDS = 30


class Stream(Struct, frozen=True, eq=False):
    """One open stream. `ended` is set once: to a notice to pass on, or to None when the server stops."""

    user_uuid: str
    session_id: str
    source: str
    ended: asyncio.Future[Notice | None]

    def end(self, notice: Notice | None) -> None:
        """End it, unless it has ended."""
        if not self.ended.done():
            self.ended.set_result(notice)


class Hub:
    """Opens, counts, tells and closes streams."""

    def __init__(self, limits: StreamLimits) -> None:
        self._limits = limits
        self._of_session: defaultdict[str, set[Stream]] = defaultdict(set)
        self._of_user: Counter[str] = Counter()
        self._of_source: Counter[str] = Counter()
        self._open = 0
        self._ending = False

    def __len__(self) -> int:
        return self._open

    def require_room(self, source: str) -> None:
        """Raise Refusal if no stream from there may be opened: to be asked before anything costly is done."""
        if self._ending or self._open >= self._limits.total:
            raise Refusal(Code.BUSY, reason="streams of this process", variant="streams", retry_after=_RETRY_SECONDS)
        if self._of_source[source] >= self._limits.source:
            raise _too_many("source")

    def open(self, caller: Caller, source: str) -> Stream:
        """Return a new stream of the caller's session. Raises Refusal when there are too many."""
        self.require_room(source)
        session_id = caller.session.session_id
        if len(self._of_session.get(session_id, ())) >= self._limits.session:
            raise _too_many("session")
        if self._of_user[caller.user_uuid] >= self._limits.user:
            raise _too_many("user")
        ended: asyncio.Future[Notice | None] = asyncio.get_running_loop().create_future()
        stream = Stream(caller.user_uuid, session_id, source, ended)
        self._of_session[session_id].add(stream)
        self._count(stream, 1)
        return stream

    def close(self, stream: Stream) -> None:
        """Forget a stream; what was open is not any more, whichever side ended it."""
        streams = self._of_session.get(stream.session_id, set())
        if stream not in streams:
            return
        streams.discard(stream)
        if not streams:
            del self._of_session[stream.session_id]
        self._count(stream, -1)
        stream.end(None)

    def of(self, session_id: str) -> Collection[Stream]:
        """Return the streams of a session. May be asked by any thread."""
        return tuple(self._of_session.get(session_id, ()))

    def tell(self, session_id: str, notice: Notice) -> None:
        """End all streams of a session with a notice."""
        for stream in self.of(session_id):
            stream.end(notice)

    def end_all(self) -> None:
        """End all streams without a notice, and let no other be opened: the server stops."""
        self._ending = True
        for streams in list(self._of_session.values()):
            for stream in streams:
                stream.end(None)

    def _count(self, stream: Stream, by: int) -> None:
        self._open += by
        for counter, key in ((self._of_user, stream.user_uuid), (self._of_source, stream.source)):
            counter[key] += by
            if not counter[key]:
                del counter[key]


def _too_many(of_what: str) -> Refusal:
    return Refusal(Code.TOO_MANY_STREAMS, reason=f"of one {of_what}", retry_after=_RETRY_SECONDS)
