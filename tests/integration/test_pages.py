"""The pages as servers send them: titles, languages, the policy, and nothing that a browser would have to refuse.

What people see of them is judged in a browser, later; here their text is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import requests

import ichidai.console
from ichidai.console.texts import TEXTS
from tests.client import Client, refused
from tests.servers import DOMAINS, Suite

PAGES = ("/", "/registration/", "/login")
CONSOLE = Path(ichidai.console.__file__).parent
MODULES = sorted((CONSOLE / "static").glob("*.js"))

POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
}

TITLES = [
    ("/", None, "ja", "ひとつのアカウント、一度に一台"),
    ("/registration/", None, "ja", "ユーザー登録"),
    ("/login", None, "ja", "ログイン"),
    ("/registration/", "ja-JP,ja;q=0.9,en;q=0.8", "ja", "ユーザー登録"),
    ("/", "en-GB,en;q=0.9", "en", "One account, one device at a time"),
    ("/registration/", "en", "en", "Register"),
    ("/login", "en", "en", "Log in"),
    ("/login", "fr", "en", "Log in"),
]


class Read(HTMLParser):
    """What is written in a page: its elements, and the text in each kind of element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = [""]
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input", "img"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Note that it has ended."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note a text."""
        if data.strip():
            self.texts.append((self._open[-1], data.strip()))

    def texts_in(self, tag: str) -> set[str]:
        """Return the texts directly in elements of a kind."""
        return {text for parent, text in self.texts if parent == tag}

    @property
    def addresses(self) -> list[str]:
        """Every address that the page names."""
        names = ("src", "href", "action", "srcset", "poster", "data")
        return [address for _, attributes in self.elements for name in names if (address := attributes.get(name))]


def page(client: Client, path: str, language: str | None = None) -> requests.Response:
    """Get a page."""
    reply = client.get(path, headers={} if language is None else {"Accept-Language": language})
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8"), reply.text
    return reply


@pytest.mark.parametrize(("path", "asked", "language", "title"), TITLES)
def test_language(client: Client, path: str, asked: str | None, language: str, title: str) -> None:
    """The browser chooses; without a word from it a page is Japanese, with a language we have not it is English."""
    reply = page(client, path, asked)
    read = Read(reply.text)
    assert read.texts_in("title") == {f"{title} · Ichidai"}
    assert ("html", {"lang": language}) in read.elements
    assert reply.headers["Content-Language"] == language
    assert "Accept-Language" in reply.headers["Vary"]


@pytest.mark.parametrize("path", ["/registration", "/login/"])
def test_the_other_spelling_of_a_path(client: Client, path: str) -> None:
    """With and without the last slash, without a redirect."""
    page(client, path)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.pitfall("X52")
def test_nothing_inline_and_nothing_foreign(client: Client, path: str) -> None:
    """The policy is strict, and the page needs nothing that it forbids; all that the page names is there."""
    reply = page(client, path)
    assert set(reply.headers["Content-Security-Policy"].split("; ")) == POLICY
    read = Read(reply.text)
    assert not read.texts_in("script")
    assert all(attributes.get("src") for tag, attributes in read.elements if tag == "script")
    assert "style" not in {tag for tag, _ in read.elements}
    names = {name for _, attributes in read.elements for name in attributes}
    assert not {name for name in names if name == "style" or name.startswith("on")}
    assert not [address for address in read.addresses if not re.match(r"/(?!/)", address)]
    assert [client.get(address).status_code for address in read.addresses] == [200] * len(read.addresses)


@pytest.mark.parametrize("file", sorted((CONSOLE / "static").iterdir()), ids=lambda file: file.name)
def test_a_file_of_the_console(client: Client, file: Path) -> None:
    """It is sent as what it is, under the policy, asks no other host, and imports only what is beside it."""
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    reply = client.get(f"/console/{file.name}")
    assert (reply.status_code, reply.content) == (200, file.read_bytes())
    assert reply.headers["Content-Type"].split(";")[0] == kinds[file.suffix]
    assert set(reply.headers["Content-Security-Policy"].split("; ")) == POLICY
    text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|@import|url\(|[\"'(]//|\bimport\(", text)
    assert all((file.parent / name).is_file() for name in re.findall(r"from \"([^\"]+)\"", text))


@pytest.mark.pitfall("X22", "X72")
def test_where_modules_keep_things() -> None:
    """Only the fingerprint outlives the page; no token is stored or put into an address, and nothing is forced."""
    sources = {module.name: module.read_text(encoding="utf-8") for module in MODULES}
    assert [name for name, source in sources.items() if "localStorage" in source] == ["device.js"]
    assert '"currentlyLoggedinFingerprint"' in sources["device.js"]
    for source in sources.values():
        assert not re.search(
            r"sessionStorage|indexedDB|document\.cookie|history\.|innerHTML|insertAdjacentHTML", source
        )
        assert not re.search(r"\bforce|\?\$\{|alert\(|console\.", source)
    assert '"/session/logout"' in sources["inside.js"]


@pytest.mark.pitfall("X71", "X52")
def test_forms_have_what_their_routes_demand(client: Client) -> None:
    """And the names that people and tests find them by."""
    fields = {
        "/registration/": {"username", "email", "password", "device_name", "qr_code"},
        "/login": {"username", "password", "client_cert_fp"},
    }
    for path, names in fields.items():
        read = Read(page(client, path, "en").text)
        inputs = {
            attributes["name"]
            for tag, attributes in read.elements
            if tag in ("input", "textarea") and "name" in attributes
        }
        assert inputs == names
        labelled = {attributes["for"] for tag, attributes in read.elements if tag == "label"}
        assert names <= labelled
    registration, login = (Read(page(client, path, "en").text) for path in fields)
    assert {"Username", "Email", "Password", "Device name"} <= registration.texts_in("label")
    assert {"Register", "Join with a QR code"} <= registration.texts_in("button")
    assert {"Username", "Password"} <= login.texts_in("label")
    buttons = {"Log in", "Continue", "Cancel", "Add a device", "Log out", "Log out other devices"}
    assert buttons <= login.texts_in("button")
    assert ("dialog", "question_title") in {
        (tag, attributes.get("aria-labelledby")) for tag, attributes in login.elements
    }
    assert "Already in use" in login.texts_in("h2")


def test_each_app_alone_serves_its_own_pages(entrances: Suite) -> None:
    """Registration and login have one each; the others have none; and none links to what it does not serve."""
    own = {"registration": "/registration/", "login": "/login"}
    for server in entrances.servers:
        alone = Client({"all": server.base})
        for path in PAGES:
            if own.get(server.part) != path:
                refused(alone.get(path), 404, "not-found")
        if server.part in own:
            addresses = Read(page(alone, own[server.part]).text).addresses
            assert all(address.startswith("/console/") for address in addresses)
        else:
            refused(alone.get("/console/api.js"), 404, "not-found")
    assert {server.part for server in entrances.servers} == set(DOMAINS)


def test_every_text_is_there_and_used() -> None:
    """In both languages; and the modules say nothing that no page brings along."""
    templates = [template.read_text(encoding="utf-8") for template in (CONSOLE / "templates").glob("*.html")]
    named = {name for template in templates for name in _named(template)}
    titles = {f"{name}_title" for name in ("home", "registration", "login")}
    assert named | titles == set(TEXTS)
    assert all(text.en.strip() and text.ja.strip() for text in TEXTS.values())
    spoken = {name for module in MODULES for name in _spoken(module.read_text(encoding="utf-8"))}
    brought = {
        name
        for template in templates
        for names in re.findall(r"for name in \(([^)]+)\)", template)
        for name in _quoted(names)
    }
    assert {"unreachable", "ended_elsewhere", "not_switched"} <= spoken <= brought


def _named(template: str) -> Iterator[str]:
    yield from re.findall(r"\btext\.(\w+)", template)
    for names in re.findall(r"for name in \(([^)]+)\) %}\s*<p data-text", template):
        yield from _quoted(names)


def _spoken(source: str) -> Iterator[str]:
    for call in re.findall(r"\btext\(((?:[^()]|\([^()]*\))*)\)", source):
        yield from _quoted(call)


def _quoted(names: str) -> list[str]:
    return re.findall(r"\"(\w+)\"", names)
