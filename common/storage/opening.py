"""Opening the store that a URL names: `sqlite:///path` or `dynamodb://[prefix][?region=…&endpoint=…&…]`.

Of DynamoDB it may also say how long an `answer` may take, and by what its items expire (`expiry`): `ttl` or `sweep`.
Only the chosen engine is imported; that is why the imports stand inside the functions.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qs, urlsplit

from common.clock import Clock
from common.storage.enumeration import EnumerableStore
from common.storage.port import Store
from common.storage.tables import ALL

if TYPE_CHECKING:
    from common.storage.dynamodb.admin import DynamoTables
    from common.storage.dynamodb.client import Limits, TableLocation

_PATIENCE_SECONDS = 30.0

_FORMS = "use sqlite:///relative/path, sqlite:////absolute/path or dynamodb://[prefix][?region=…&endpoint=http://…]"


class StoreUrlError(Exception):
    """The URL names no store that this program has; the text says what it may be."""


def open_store(url: str, clock: Clock, region: str | None = None) -> Store:
    """Return the store at `url`. `region` (AWS_REGION) is for DynamoDB, where the URL names none.

    Raises StoreUrlError, and StoreUnavailable when SQLite's file cannot be opened; DynamoDB is asked at the first use.
    """
    return open_for_maintenance(url, clock, region)


def open_for_maintenance(
    url: str, clock: Clock, region: str | None = None, *, patient: bool = False
) -> EnumerableStore:
    """Return the same, whose tables can be enumerated: for operators' commands alone.

    `patient`: each call waits half a minute for the engine, where a request of a user gives up after seconds.
    """
    if _scheme(url) == "sqlite":
        from common.storage.sqlite.store import SqliteStore

        return SqliteStore(_sqlite_path(url), ALL, clock, **({"wait": _PATIENCE_SECONDS} if patient else {}))
    from common.storage.dynamodb.client import Limits
    from common.storage.dynamodb.store import DynamoStore

    patience = Limits(connect=5.0, answer=10.0, wait=_PATIENCE_SECONDS, cooldown=0.0)
    return DynamoStore(_location(url, region), patience if patient else _limits(url))


def canonical_url(url: str, region: str | None = None) -> str:
    """Return the URL by which a store is the same from any folder and environment. Raises StoreUrlError."""
    if _scheme(url) == "sqlite":
        return f"sqlite:///{_sqlite_path(url).resolve().as_posix()}"
    location = _location(url, region)
    endpoint = "" if location.endpoint is None else f"&endpoint={location.endpoint.rstrip('/')}"
    return f"dynamodb://{location.prefix}?region={location.region}{endpoint}"


def is_there(url: str) -> bool:
    """Say whether a store can be there: SQLite's file, which opening would make; of DynamoDB it is not known here."""
    if _scheme(url) != "sqlite":
        return True
    try:
        return _sqlite_path(url).exists()
    except OSError:  # it cannot be looked at: opening it says why
        return True


def is_open_elsewhere(url: str) -> bool | None:
    """Say whether another process has the store open; None where that cannot be known (DynamoDB).

    Raises StoreUrlError, StoreUnavailable.
    """
    if _scheme(url) != "sqlite":
        return None
    from common.storage.sqlite.store import is_open_elsewhere as is_file_open

    return is_file_open(_sqlite_path(url))


def open_tables(url: str, region: str | None = None) -> DynamoTables | None:
    """Return what makes and checks the tables of the store at `url`; None for SQLite, which makes its own.

    Raises StoreUrlError, StoreUnavailable.
    """
    if _scheme(url) == "sqlite":
        _sqlite_path(url)
        return None
    from common.storage.dynamodb.admin import DynamoTables
    from common.storage.dynamodb.client import as_unavailable, make_client

    location, is_swept = _location(url, region), _parameters(_split(url).query).get("expiry") == "sweep"
    with as_unavailable():
        return DynamoTables(make_client(location, tries=5), ALL, location.prefix, time.sleep, is_swept=is_swept)


def _scheme(url: str) -> str:
    scheme = url.partition("://")[0]
    if scheme not in ("sqlite", "dynamodb"):
        raise StoreUrlError(f"{scheme}://… is no store of this program: {_FORMS}")
    return scheme


def _sqlite_path(url: str) -> Path:
    path = url.removeprefix("sqlite://")
    if len(path) < 2 or path[0] != "/" or "?" in path or "#" in path:  # noqa: PLR2004 - the slash and a name
        raise StoreUrlError(f"sqlite:// takes a path and nothing else: {_FORMS}")
    return Path(path[1:])


def _location(url: str, region: str | None) -> TableLocation:
    from common.storage.dynamodb.client import TableLocation

    parts = _split(url)
    if not re.fullmatch(r"[A-Za-z0-9_.-]{0,200}", parts.netloc):
        raise StoreUrlError("the prefix in dynamodb://prefix may hold letters, digits, '_', '.' and '-'")
    if parts.path.strip("/") or parts.fragment:
        raise StoreUrlError(f"dynamodb:// takes a prefix and no path: {_FORMS}")
    given = _parameters(parts.query)
    named = given.get("region") or region
    if not named or not re.fullmatch(r"[a-z0-9-]+", named):
        raise StoreUrlError("dynamodb:// needs a region: set AWS_REGION (such as ap-northeast-1) or add ?region=…")
    return TableLocation(named, parts.netloc, _endpoint(given))


def _limits(url: str) -> Limits:
    """Return what is waited for: for an engine that is slow the URL says how long an answer may take."""
    from common.storage.dynamodb.client import DEFAULT_LIMITS, Limits

    given = _parameters(_split(url).query)
    answer = float(given.get("answer", DEFAULT_LIMITS.answer))
    return Limits(answer=answer, wait=max(DEFAULT_LIMITS.wait, answer))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what finds a wrong one
    except ValueError as error:
        raise StoreUrlError(f"the store's URL cannot be read: {error}") from error
    return parts


def _parameters(query: str) -> dict[str, str]:
    found = parse_qs(query, keep_blank_values=True)
    for name, values in found.items():
        if name not in ("region", "endpoint", "answer", "expiry") or len(values) > 1 or not values[0]:
            raise StoreUrlError(f"?{name}= of a dynamodb:// URL is unknown, empty or given twice: {_FORMS}")
    given = {name: values[0] for name, values in found.items()}
    if not re.fullmatch(r"[1-9]|10", given.get("answer", "1")):
        raise StoreUrlError("?answer=… of a dynamodb:// URL is how many seconds an answer may take: 1 to 10")
    if given.get("expiry", "ttl") not in ("ttl", "sweep"):
        raise StoreUrlError("?expiry=… of a dynamodb:// URL is ttl, or sweep where a timer runs `ichidai sweep`")
    return given


def _endpoint(given: dict[str, str]) -> str | None:
    endpoint = given.get("endpoint")
    if endpoint is None:
        return None
    parts = _split(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise StoreUrlError("?endpoint=… must be http://host[:port] or https://host[:port]")
    return endpoint
