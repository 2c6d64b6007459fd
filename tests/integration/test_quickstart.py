"""The quick start runs as it is printed, and the answers that it shows are those that come."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import combined

PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
SCRIPT = "set -eu\n" + "\n".join(text for language, text in BLOCKS if language == "bash")
SHOWN = [json.loads(text) for language, text in BLOCKS if language == "json"]
ALL_ANSWERS = """
printf '\\n%s\\n%s\\n' "$phone" "$question"
"""


def assert_as_shown(answer: Any, shown: Any, base: str) -> None:
    """Compare an answer with the page's, which cuts long and changing values at `…`."""
    if isinstance(shown, dict):
        assert list(answer) == list(shown)
        for name, value in shown.items():
            assert_as_shown(answer[name], value, base)
    elif isinstance(shown, list):
        assert len(answer) == len(shown)
        for one, other in zip(answer, shown, strict=True):
            assert_as_shown(one, other, base)
    elif isinstance(shown, str) and shown.endswith("…"):
        assert isinstance(answer, str)
        assert answer
    elif isinstance(shown, str):
        assert answer == shown.replace("http://127.0.0.1:8000", base)
    else:
        assert answer == shown


@pytest.mark.skipif(os.name == "nt", reason="only on POSIX: the page is for bash")
def test_the_page_runs_and_shows_what_is_answered(tmp_path: Path) -> None:
    """Every bash block in one shell; the JSON blocks are the registration, the question and the ended session."""
    suite = combined(tmp_path)
    suite.start()
    try:
        base = suite.servers[0].base
        done = subprocess.run(
            ["bash", "-c", SCRIPT + ALL_ANSWERS],  # noqa: S607 - the one of the machine
            env={**os.environ, "suite": base},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        suite.stop()
    assert done.returncode == 0, done.stderr
    *_, ended, phone, question = filter(None, done.stdout.splitlines())
    for answer, shown in zip((phone, question, ended), SHOWN, strict=True):
        assert_as_shown(json.loads(answer), shown, base)
