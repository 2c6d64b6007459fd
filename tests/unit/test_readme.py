"""README.ja.md says in Japanese what README.md says: what can be compared without reading is compared here."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGLISH, JAPANESE = (ROOT.joinpath(name).read_text(encoding="utf-8") for name in ("README.md", "README.ja.md"))
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the language and the text of each code block."""
    return _BLOCK.findall(page)


def prose(page: str) -> str:
    """Return a page without its code blocks."""
    return _BLOCK.sub("", page)


def outline(page: str) -> list[str]:
    """Return what each line of prose begins with that shapes the page: headings, items, rows of tables."""
    return [found[0].strip() for line in prose(page).splitlines() if (found := re.match(r"#+ |- |\|", line))]


def quoted(page: str) -> set[str]:
    """Return what stands in backquotes: names, paths, commands."""
    return set(re.findall(r"`([^`\n]+)`", prose(page)))


def test_the_code_is_the_same() -> None:
    """Block for block, to the letter."""
    assert blocks(JAPANESE) == blocks(ENGLISH)


def test_the_shape_is_the_same() -> None:
    """The same headings, items and rows, in the same order."""
    assert outline(JAPANESE) == outline(ENGLISH)


def test_the_same_names_and_links_are_named() -> None:
    """No setting, path, command or page is in one alone; pictures are each in its language."""
    assert quoted(JAPANESE) == quoted(ENGLISH)
    links = [set(re.findall(r"\]\(([^)]+)\)", prose(page))) for page in (JAPANESE, ENGLISH)]
    assert {link.replace("console/ja/", "console/") for link in links[0]} - {"README.md"} == links[1] - {"README.ja.md"}
    assert all((ROOT / link).is_file() for link in links[0] | links[1] if not link.startswith("https://"))


def test_it_is_japanese() -> None:
    """Every heading but the name, and every item, has Japanese letters."""
    lines = [line for line in prose(JAPANESE).splitlines() if re.match(r"## |- ", line)]
    for line in lines:
        names = (unicodedata.name(letter, "") for letter in line)
        assert any(name.startswith(("HIRAGANA", "KATAKANA", "CJK")) for name in names), line


def test_the_permissions_in_the_docs_are_those_that_are_used() -> None:
    """The policies are JSON, and name each call that the store and the tables' commands make, and no other."""
    found = [json.loads(text) for kind, text in blocks(OPERATIONS) if kind == "json"]
    server, operator = [each["Statement"][0]["Action"] for each in found if "Statement" in each]
    engine = (ROOT / "common" / "storage" / "dynamodb" / "store.py").read_text(encoding="utf-8")
    asked = set(re.findall(r'_request\("(\w+)"', engine))
    assert asked == {"get_item", "query", "scan", "batch_write_item"}
    writes = set(re.findall(r'_write\("(\w+)"', engine))
    assert writes == {"put_item", "delete_item"}
    assert set(server) == {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"}
    tables = (ROOT / "common" / "storage" / "dynamodb" / "admin.py").read_text(encoding="utf-8")
    called = set(re.findall(r"_client\.(\w+)\(", tables))
    named = {f"dynamodb:{''.join(part.title() for part in name.split('_'))}" for name in called}
    # a table is enumerated, and written without conditions, by operators' commands alone
    assert set(operator) == named | {"dynamodb:Scan", "dynamodb:BatchWriteItem"}
