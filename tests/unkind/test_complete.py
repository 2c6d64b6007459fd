"""Every module of use cases runs over the unkind engine, or says why it does not."""

from __future__ import annotations

from pathlib import Path

from tests.unkind import exceptions

HERE = Path(__file__).parent


def modules(folder: Path) -> set[str]:
    """Return the names of a folder's test modules."""
    return {path.stem.removeprefix("test_") for path in folder.glob("test_*.py")}


def test_every_module_of_use_cases_is_here_or_says_why() -> None:
    """A new one is taken over by a file of two lines, or gets its reason in `ELSEWHERE`."""
    use_cases, here = modules(HERE.parent / "usecases"), modules(HERE)
    assert use_cases - here == exceptions.ELSEWHERE.keys(), "neither here nor with a reason, or no longer there"
    for name in use_cases & here - {"claims"}:
        text = (HERE / f"test_{name}.py").read_text(encoding="utf-8")
        assert f"from tests.usecases.test_{name} import *" in text
        there = (HERE.parent / "usecases" / f"test_{name}.py").read_text(encoding="utf-8")
        assert "\n__all__" not in there, f"{name} names what is taken of it, and no test is"
        assert "ichidai.wiring.build" not in there, f"{name} makes its suites by itself: it meets the ordinary engine"


def test_what_is_spared_or_left_out_is_there() -> None:
    """The lists name no test and no module that is gone."""
    folder = HERE.parent / "usecases"
    texts = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("test_*.py"))
    for name in {*exceptions.COUNTING, *exceptions.SENT_ONCE, *exceptions.LISTED, *exceptions.LEFT_OUT}:
        assert f"def {name}(" in texts or name.removeprefix("test_") in modules(folder), name
