"""The units of measure: a Flask route that does nothing, and callables that do nothing, by WSGI and by RSGI."""

from flask import Flask

app = Flask(__name__)
_RAW = b'{"ok":true}\n'
_HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(_RAW)))]


@app.get("/empty")
def empty():
    """Answer."""
    return {"ok": True}


def raw(_environ, start_response):
    """Answer."""
    start_response("200 OK", _HEADERS)
    return [_RAW]


async def null(_scope, exchange):
    """Answer."""
    exchange.response_bytes(200, _HEADERS, _RAW)
