"""How an app is started by its own module: from any folder; what is missing is told in a sentence.

Nothing but the standard library is imported before it is known to be there.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

_ROOT = Path(__file__).parents[1]


def factory(part: str) -> Callable[[], Flask]:
    """Return the `create_app` of an entrance, which Flask's command and other WSGI servers look for."""

    def create_app() -> Flask:
        """Return the app, with the settings of the environment."""
        from ichidai.apps import create_app  # noqa: PLC0415 - see above
        from ichidai.topology import App  # noqa: PLC0415

        return create_app(App(part))

    return create_app


def run(part: str, module: str) -> None:
    """Serve an app as its entrance is asked to on the command line, until it is told to stop."""
    found("ichidai.cli.commands").entrance_command(part, f"python -m {module}").main()


def found(module: str) -> ModuleType:
    """Import a module of ours. Where a library is missing the program ends with a sentence."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if (_ROOT / "dev.py").exists():
            cure = "`python3 dev.py` makes .venv with all that is needed; start with the Python of .venv after that."
        else:
            cure = "install it for this Python: pip install 'ichidai[server]'."
        sys.exit(f"Ichidai cannot start: {sys.executable} has no module named {missing.name!r}. In {_ROOT}, {cure}")
