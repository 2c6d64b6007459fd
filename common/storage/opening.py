"""Opening the store that a URL names: `sqlite:///path` or `dynamodb://[prefix][?region=…&endpoint=…]`.

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
from common.storage.port import Store
from common.storage.tables import ALL

if TYPE_CHECKING:
    from common.storage.dynamodb import Place
    from common.storage.dynamodb_tables import DynamoTables

_FORMS = "use sqlite:///relative/path, sqlite:////absolute/path or dynamodb://[prefix][?region=…&endpoint=http://…]"


class StoreUrlError(Exception):
    """The URL names no store that this program has; the text says what it may be."""


def open_store(url: str, clock: Clock, region: str | None = None) -> Store:
    """Return the store at `url`. `region` (AWS_REGION) is for DynamoDB, where the URL names none.

    Raises StoreUrlError, and StoreUnavailable when SQLite's file cannot be opened; DynamoDB is asked at the first use.
    """
    if _scheme(url) == "sqlite":
        from common.storage.sqlite import SqliteStore

        return SqliteStore(_sqlite_path(url), ALL, clock)
    from common.storage.dynamodb import DynamoStore

    return DynamoStore(_place(url, region))


def open_tables(url: str, region: str | None = None) -> DynamoTables | None:
    """Return what makes and checks the tables of the store at `url`; None for SQLite, which makes its own.

    Raises StoreUrlError, StoreUnavailable.
    """
    if _scheme(url) == "sqlite":
        _sqlite_path(url)
        return None
    from common.storage.dynamodb import as_unavailable, make_client
    from common.storage.dynamodb_tables import DynamoTables

    place = _place(url, region)
    with as_unavailable():
        return DynamoTables(make_client(place, tries=5), ALL, place.prefix, time.sleep)


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


def _place(url: str, region: str | None) -> Place:
    from common.storage.dynamodb import Place

    parts = _split(url)
    if not re.fullmatch(r"[A-Za-z0-9_.-]{0,200}", parts.netloc):
        raise StoreUrlError("the prefix in dynamodb://prefix may hold letters, digits, '_', '.' and '-'")
    if parts.path.strip("/") or parts.fragment:
        raise StoreUrlError(f"dynamodb:// takes a prefix and no path: {_FORMS}")
    given = _parameters(parts.query)
    named = given.get("region") or region
    if not named or not re.fullmatch(r"[a-z0-9-]+", named):
        raise StoreUrlError("dynamodb:// needs a region: set AWS_REGION (such as ap-northeast-1) or add ?region=…")
    return Place(named, parts.netloc, _endpoint(given))


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
        if name not in ("region", "endpoint") or len(values) > 1 or not values[0]:
            raise StoreUrlError(f"?{name}= of a dynamodb:// URL is unknown, empty or given twice: {_FORMS}")
    return {name: values[0] for name, values in found.items()}


def _endpoint(given: dict[str, str]) -> str | None:
    endpoint = given.get("endpoint")
    if endpoint is None:
        return None
    parts = _split(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise StoreUrlError("?endpoint=… must be http://host[:port] or https://host[:port]")
    return endpoint
