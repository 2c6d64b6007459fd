"""The open streams of this process: who listens for the end of which session. For one event loop and its thread.

It knows neither store nor wire. Bounds keep any client from using up the process.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from msgspec import Struct, field

from common.account.admission import Caller
from common.account.approval import Asked
from common.account.feed import hint_of
from common.errors import Code, Refusal
from common.metrics import Kind, counter, gauge
from session_manager.event_model import Notice, StreamLimits

_RETRY_SECONDS = 30

STREAMS = gauge("ichidai_streams", Kind.SUM, "Event streams that are open.")
OPENED = counter("ichidai_streams_opened_total", "Event streams that were opened.")
REFUSED = counter(
    "ichidai_streams_refused_total",
    "Event streams that were refused because too many were open, by whose they were.",
    of=("process", "source", "session", "user"),
)


class Stream(Struct, frozen=True, eq=False):
    """One open stream. `ended` is set once: to a notice to pass on, or to None when the server stops.

    `asked` is what its user is to be asked meanwhile; `told`: the approvals it was told of; `waiting`: who waits.
    """

    user_uuid: str
    session_id: str
    source: str
    ended: asyncio.Future[Notice | None]
    asked: list[Asked] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def ask(self, asked: Asked) -> None:
        """Pass on what its user is asked, once."""
        if asked.approval_id not in self.told:
            self.told.append(asked.approval_id)
            self.asked.append(asked)
            for each in self.waiting:
                if not each.done():
                    each.set_result(None)

    async def wait(self, seconds: float) -> Asked | None:
        """Wait until its user is asked something, it has ended, or some seconds are over; None for the latter two."""
        if not self.asked:
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiting.append(woken)
            try:
                await asyncio.wait((self.ended, woken), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.waiting.remove(woken)
        return self.asked.pop(0) if self.asked else None

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

    def require_capacity(self, source: str) -> None:
        """Raise Refusal if no stream from there may be opened: to be asked before anything costly is done."""
        if self._ending or self._open >= self._limits.total:
            REFUSED.add("process")
            raise Refusal(Code.BUSY, reason="streams of this process", variant="streams", retry_after=_RETRY_SECONDS)
        if self._of_source[source] >= self._limits.source:
            raise _too_many("source")

    def open(self, caller: Caller, source: str) -> Stream:
        """Return a new stream of the caller's session. Raises Refusal when there are too many."""
        self.require_capacity(source)
        session_id = caller.session.session_id
        if len(self._of_session.get(session_id, ())) >= self._limits.session:
            raise _too_many("session")
        if self._of_user[caller.user_uuid] >= self._limits.user:
            raise _too_many("user")
        ended: asyncio.Future[Notice | None] = asyncio.get_running_loop().create_future()
        stream = Stream(caller.user_uuid, session_id, source, ended)
        self._of_session[session_id].add(stream)
        self._count(stream, 1)
        OPENED.add()
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

    def hinted(self, hints: Collection[str]) -> Collection[tuple[str, str]]:
        """Return the user and the id of each session with open streams at which the feed hints."""
        if not hints:
            return ()
        return [
            (next(iter(streams)).user_uuid, session_id)
            for session_id, streams in self._of_session.items()
            if hint_of(session_id) in hints
        ]

    def notify(self, session_id: str, notice: Notice) -> None:
        """End all streams of a session with a notice."""
        for stream in self.of(session_id):
            stream.end(notice)

    def ask(self, session_id: str, asked: Sequence[Asked]) -> None:
        """Pass on to all streams of a session what its user is asked."""
        for stream in self.of(session_id):
            for each in asked:
                stream.ask(each)

    def end_all(self) -> None:
        """End all streams without a notice, and let no other be opened: the server stops."""
        self._ending = True
        for streams in list(self._of_session.values()):
            for stream in streams:
                stream.end(None)

    def _count(self, stream: Stream, by: int) -> None:
        self._open += by
        STREAMS.set(self._open)
        for counts, key in ((self._of_user, stream.user_uuid), (self._of_source, stream.source)):
            counts[key] += by
            if not counts[key]:
                del counts[key]


def _too_many(of_what: str) -> Refusal:
    REFUSED.add(of_what)
    return Refusal(Code.TOO_MANY_STREAMS, reason=f"of one {of_what}", retry_after=_RETRY_SECONDS)
