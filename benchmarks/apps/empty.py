"""The units of measure: a Flask route that does nothing, and a WSGI callable that does nothing."""

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
