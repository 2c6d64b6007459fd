"""The pages that each app serves of the console."""

from __future__ import annotations

from flask import Blueprint

from ichidai.topology import Part


def page_blueprint(serving: Part) -> Blueprint:
    """Return the pages of an app."""
    blueprint = Blueprint("pages", __name__)
    return blueprint
