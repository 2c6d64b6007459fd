"""The pages as servers send them: titles, languages, the policy, and nothing that a browser would have to refuse.

What people see of them is judged in a browser (tests/browser); here their text is read.
"""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import requests

import ichidai.console
from common.errors import Code
from common.history import Kind, Reason
from ichidai.console.texts import SAID, TEXTS
from tests.client import Client, refused
from tests.servers import DOMAINS, Suite

PAGES = ("/", "/registration/", "/login")
CONSOLE = Path(ichidai.console.__file__).parent
STATIC = CONSOLE / "static"
FILES = sorted(path for path in STATIC.rglob("*") if path.is_file())
MODULES = [path for path in FILES if path.suffix == ".js" and "vendor" not in path.parts]
VENDORED = {
    "decode.js": "00e209820dcb11d624e9a03d6383e580766792b57d1651318f0a29e4e1ff0fe8",
    "index.js": "a0de370051f94bd74f218f74401fdf197585e3f9ef0143164f87ea941a3fdd6f",
}
"""What the files of the npm package qr@0.7.0 are, by SHA-256."""

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
        """Every address that the page names, places in itself left out."""
        names = ("src", "href", "action", "srcset", "poster", "data")
        every = [address for _, attributes in self.elements for name in names if (address := attributes.get(name))]
        return [address for address in every if not address.startswith("#")]


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
    assert [about["lang"] for tag, about in read.elements if tag == "html"] == [language]
    assert reply.headers["Content-Language"] == language
    assert {"Accept-Language", "Cookie"} <= set(reply.headers["Vary"].split(", "))


@pytest.mark.parametrize(("chosen", "language"), [("ja", "ja"), ("en", "en"), ("xx", "en"), ("", "en")])
def test_the_language_that_a_person_chose(client: Client, chosen: str, language: str) -> None:
    """It goes before the browser's; what is no language of ours does not."""
    headers = {"Accept-Language": "en", "Cookie": f"ichidai_language={chosen}"}
    reply = client.get("/login", headers=headers)
    assert reply.headers["Content-Language"] == language
    assert "Set-Cookie" not in reply.headers


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


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(STATIC).as_posix())
def test_a_file_of_the_console(client: Client, file: Path) -> None:
    """It is sent as what it is, under the policy, asks no other host, and imports only what is beside it."""
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    reply = client.get(f"/console/{file.relative_to(STATIC).as_posix()}")
    assert (reply.status_code, reply.content) == (200, file.read_bytes())
    assert set(reply.headers["Content-Security-Policy"].split("; ")) == POLICY
    if file.suffix not in kinds:
        return
    assert reply.headers["Content-Type"].split(";")[0] == kinds[file.suffix]
    text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert file.suffix != ".js" or all((file.parent / name).is_file() for name in _imported(text))
    if file.name not in VENDORED:
        assert not re.search(r"https?:|@import|url\(", text)


def _imported(source: str) -> list[str]:
    return re.findall(r"(?:from|\bimport) ?\(?[\"'](\.[^\"']+)[\"']", source)


def test_the_decoder_is_what_its_authors_published() -> None:
    """Not a byte of it is ours; it comes with its licences."""
    folder = STATIC / "vendor" / "qr"
    found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in VENDORED}
    assert found == VENDORED
    assert {file.name for file in folder.iterdir()} == {*VENDORED, "LICENSE", "LICENSE-MIT"}


@pytest.mark.pitfall("X22", "X72", "Y11")
def test_where_modules_keep_things() -> None:
    """Only the fingerprint is in localStorage; no token is put into an address or a cookie, and nothing is forced."""
    sources = {path.relative_to(STATIC).as_posix(): path.read_text(encoding="utf-8") for path in MODULES}
    code = {name: re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL) for name, source in sources.items()}
    used = {
        "localStorage": {"client/devices.js"},
        "indexedDB": {"client/vault.js"},
        "document.cookie": {"pages/shell.js"},
        "State(null": {"router.js", "pages/ended.js"},
    }
    for thing, places in used.items():
        assert {name for name, source in code.items() if thing in source} == places
    assert '"currentlyLoggedinFingerprint"' in sources["client/devices.js"]
    for source in sources.values():
        assert not re.search(r"sessionStorage|innerHTML|insertAdjacentHTML|outerHTML|\beval\(", source)
        assert not re.search(r"\bforce|[?&]\w*token=|alert\(|console\.", source)
    assert '"/session/logout"' in sources["ichidai.js"]


@pytest.mark.pitfall("X71", "X52")
def test_forms_have_what_their_routes_demand(client: Client) -> None:
    """And the names that people and tests find them by."""
    read = Read(page(client, "/login", "en").text)
    forms = _forms(read)
    assert {"username", "email", "password", "device_name"} in forms
    assert {"username", "password", "device_name", "qr_code"} in forms
    assert {"username", "password", "client_cert_fp"} in forms
    labelled = {attributes["for"] for tag, attributes in read.elements if tag == "label"}
    ids = [identity for _, attributes in read.elements if (identity := attributes.get("id"))]
    assert len(ids) == len(set(ids))
    assert labelled <= set(ids)
    assert {"Username", "Email", "Password", "Device name"} <= read.texts_in("label")
    buttons = {"Register", "Log in", "Continue", "Cancel", "Add a device", "Join with a QR code", "Log out"}
    assert buttons | {"Log out other devices"} <= read.texts_in("button")
    assert ("dialog", "question_title") in {
        (tag, attributes.get("aria-labelledby")) for tag, attributes in read.elements
    }
    assert "Already in use" in read.texts_in("h2")


def _forms(read: Read) -> list[set[str | None]]:
    """Return the names of the fields of each form."""
    forms: list[set[str | None]] = []
    for tag, attributes in read.elements:
        if tag == "form":
            forms.append(set())
        elif tag in ("input", "textarea") and "name" in attributes:
            forms[-1].add(attributes["name"])
    return forms


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
            own_ones = ("/console/", own[server.part])
            assert all(address.startswith(own_ones) for address in addresses), addresses
        else:
            refused(alone.get("/console/main.js"), 404, "not-found")
    assert {server.part for server in entrances.servers} == set(DOMAINS)


def test_every_text_is_there_and_used() -> None:
    """In both languages; and the modules say what the pages bring along, no more and no less."""
    templates = [template.read_text(encoding="utf-8") for template in (CONSOLE / "templates").rglob("*.html")]
    named = {name for template in templates for name in re.findall(r"\btext\.(\w+)", template)}
    listed = {name for template in templates for name in _quoted(*re.findall(r"for name in \(([^)]+)\)", template))}
    assert named | {name for name in listed | {f"{name}_title" for name in listed | {"home"}} if name in TEXTS} == set(
        TEXTS
    )
    assert all(text.en.strip() and text.ja.strip() for text in [*TEXTS.values(), *SAID.values()])
    sources = "".join(module.read_text(encoding="utf-8") for module in MODULES)
    spoken = set(_quoted(sources))
    families = tuple(sorted(set(re.findall(r"text\(`(\w+_)\$", sources))))
    assert families == ("event_", "why_")
    told = {name for name in SAID if name.partition("_")[0] in set(Code)}
    assert "text(`${code}_${document?.field}`) ?? text(code)" in sources
    assert {name.partition("_")[0] for name in told if "_" in name} == {Code.INVALID_REQUEST}
    assert {name for name in SAID if not name.startswith(families)} - told <= spoken
    reasons = {f"why_{reason}" for reason in Reason}
    kinds = {f"event_{kind}" for kind in Kind} | {"event_login-failed"}
    assert {name for name in SAID if name.startswith(families)} == reasons | kinds


def _quoted(*names: str) -> list[str]:
    return [word for name in names for word in re.findall(r"\"([\w-]+)\"", name)]
