"""The import graph: no circle between modules or between a package's members, and few levels in `common`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("common", "registration", "login_app", "session_manager", "device_manager", "ichidai")
MOST_LEVELS = 7
"""Of `common`: release 0.1.0 had nine."""

Graph = dict[str, set[str]]


def imported(source: str) -> Iterator[str]:
    """Yield the names that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph_of(sources: Mapping[str, str]) -> Graph:
    """Return which of these modules each imports; a name in a module stands for the module."""

    def module_of(name: str) -> str:
        while name and name not in sources:
            name = name.rpartition(".")[0]
        return name

    return {
        module: {found for name in imported(source) if (found := module_of(name)) and found != module}
        for module, source in sources.items()
    }


def members(graph: Graph, package: str) -> Graph:
    """Return which members of a package import which: a member is a module, or a package with all that is in it."""
    found: Graph = {}
    for module, targets in graph.items():
        if module.startswith(f"{package}."):
            own = module.split(".")[1]
            others = {target.split(".")[1] for target in targets if target.startswith(f"{package}.")}
            found.setdefault(own, set()).update(others - {own})
    return found


def circle_in(graph: Graph) -> list[str]:
    """Return a circle of imports, if there is one."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        return list(circle.args[1])
    return []


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Return the imports of all our modules."""
    sources = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            sources[name] = path.read_text(encoding="utf-8")
    return graph_of(sources)


def test_no_module_is_in_a_circle(graph: Graph) -> None:
    """Nor do imports inside functions make one."""
    assert not circle_in(graph)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_member_of_a_package_is_in_a_circle(graph: Graph, package: str) -> None:
    """A folder of modules is one member: what is below another member of its package nowhere stands above it too."""
    assert not circle_in(members(graph, package))


def test_common_has_few_levels(graph: Graph) -> None:
    """A member stands above all that it imports; what imports nothing of ours is the first level."""
    common = members(graph, "common")

    @cache
    def level(member: str) -> int:
        return 1 + max((level(below) for below in common[member]), default=0)

    assert max(map(level, common)) <= MOST_LEVELS


def test_a_planted_circle_is_found() -> None:
    """Between modules, and between members where no module is in one."""
    circle = graph_of({"a.b": "from a.c import x", "a.c": "def f():\n    import a.b"})
    assert set(circle_in(circle)) == {"a.b", "a.c"}
    apart = graph_of({"a.b.one": "from a import c", "a.c": "import a.b.two", "a.b.two": "", "a.b": ""})
    assert not circle_in(apart)
    assert set(circle_in(members(apart, "a"))) == {"b", "c"}
