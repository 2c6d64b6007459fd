"""Calling an RSGI app in this process, without a server: what granian hands over, made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from common.web.rsgi import RsgiApp
from common.web.wsgi_bridge import Answer

Lines = Sequence[tuple[str, str]]


class HandHeaders:
    """The headers of a request. Like granian's, they leave out values that are not visible ASCII."""

    def __init__(self, lines: Lines) -> None:
        self._lines = [(name.lower(), value) for name, value in lines]

    def __contains__(self, name: str) -> bool:
        return any(name == each for each, _ in self._lines)

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value."""
        return next((value for each, value in self.items() if each == name), default)

    def keys(self) -> list[str]:
        """Return each name once."""
        return list(dict.fromkeys(name for name, _ in self._lines))

    def items(self) -> list[tuple[str, str]]:
        """Return names and values."""
        return [(name, value) for name, value in self._lines if value.isascii()]


@dataclass(slots=True)
class HandScope:
    """What a request is about."""

    method: str
    path: str
    query_string: str
    headers: HandHeaders
    client: str = "127.0.0.1:50000"
    server: str = "127.0.0.1:8000"
    scheme: str = "http"
    http_version: str = "1.1"
    authority: str | None = None


@dataclass(slots=True)
class HandExchange:
    """A request's body and its answer."""

    body: bytes
    answer: Answer | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in (self.body, b""):
            await asyncio.sleep(0)
            yield piece

    def response_bytes(self, status: int, headers: Lines, body: bytes) -> None:
        """Keep the answer."""
        self.answer = (status, headers, body)


@dataclass(slots=True)
class RsgiCaller:
    """Calls an app, each time on a loop of its own."""

    app: RsgiApp
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)

    def ask(self, method: str, url: str, lines: Lines = (), body: bytes = b"", client: str = "127.0.0.1") -> Answer:
        """Return the answer to a request."""
        path, _, query = url.partition("?")
        lines = [*lines, ("Content-Length", str(len(body)))] if body else lines
        exchange = HandExchange(body)
        scope = HandScope(method, path, query, HandHeaders(lines), f"{client}:50000")
        self.runner.run(self.app.__rsgi__(scope, exchange))
        assert exchange.answer is not None
        return exchange.answer

    def close(self) -> None:
        """Let loop and threads end."""
        self.runner.close()
        self.app.close()
