"""What server and engine alone cost a verification: read one row of SQLite, send what is prepared."""

import os
import sqlite3
import tempfile
from pathlib import Path

_BODY = b'{"success":true,"active":true,"padding":"' + b"x" * 236 + b'"}\n'
_ID = "8f095fe8-9ae7-484a-9a50-8167b32899b7"
_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Content-Type", "application/json"),
    ("Cache-Control", "no-store"),
    ("X-User-Uuid", _ID),
    ("X-Session-Id", _ID),
    ("X-Device-Id", _ID),
    ("Content-Length", str(len(_BODY))),
]
_BOOK_BYTES = 900
_SELECT = "SELECT item FROM books WHERE partition = ? AND sort = ?"


def _opened():
    path = Path(tempfile.mkdtemp(prefix="floor")) / "floor.sqlite"
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.executescript(
        "PRAGMA journal_mode=WAL;"
        "CREATE TABLE books (partition TEXT, sort TEXT, item BLOB, PRIMARY KEY (partition, sort)) WITHOUT ROWID;"
    )
    connection.execute("INSERT INTO books VALUES (?, '', ?)", (_ID, os.urandom(_BOOK_BYTES)))
    return connection


_connection = _opened()


async def floor(scope, exchange):
    """Answer."""
    headers = scope.headers.items()
    if scope.path != "/session/verify" or scope.method != "GET" or not headers:
        exchange.response_empty(404, [])
        return
    _connection.execute(_SELECT, (_ID, "")).fetchone()
    exchange.response_bytes(200, _HEADERS, _BODY)
