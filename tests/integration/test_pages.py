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
from flask import Flask

import ichidai.console
from common.account.history import EventKind, Reason
from common.errors import Code
from ichidai.console.pages import page_blueprint
from ichidai.console.texts import SAID, TEXTS
from ichidai.settings import read_settings
from ichidai.topology import App, addresses
from tests.support.client import Client, refused
from tests.support.servers import Suite

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
    ("/registration/", "en", "en", "Create account"),
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
@pytest.mark.regression("X52")
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


@pytest.mark.regression("X22", "X72", "Y11")
def test_where_modules_keep_things() -> None:
    """Only the fingerprint is in localStorage; no token is put into an address or a cookie, and nothing is forced."""
    sources = {path.relative_to(STATIC).as_posix(): path.read_text(encoding="utf-8") for path in MODULES}
    code = {name: re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL) for name, source in sources.items()}
    used = {
        "localStorage": {"client/devices.js"},
        "indexedDB": {"client/state-store.js"},
        "document.cookie": {"pages/shell.js"},
        "State(null": {"router.js", "pages/links.js"},
        "State({": {"pages/ended.js"},
    }
    for thing, places in used.items():
        assert {name for name, source in code.items() if thing in source} == places
    assert '"currentlyLoggedinFingerprint"' in sources["client/devices.js"]
    for source in sources.values():
        assert not re.search(r"sessionStorage|innerHTML|insertAdjacentHTML|outerHTML|\beval\(", source)
        assert not re.search(r"\bforce|[?&]\w*token=|alert\(|console\.", source)
    assert '"/session/logout"' in sources["ichidai.js"]


@pytest.mark.regression("X71", "X52")
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
    buttons = {
        "Create account",
        "Log in",
        "Continue",
        "Cancel",
        "Add this device by QR code",
        "Log out",
    }
    assert buttons <= read.texts_in("button")
    later = Read(client.get("/console/account.html", headers={"Accept-Language": "en"}).text)
    assert {"Add a device", "Log out other devices"} <= later.texts_in("button")
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


LEADING = {"registration": (), "login": ("/", "/login"), "session": ("/",), "device": ("/",)}
"""Which paths of each app alone lead to the console, where it is at another address."""


def test_of_four_apps_the_registration_app_has_the_console(entrances: Suite) -> None:
    """It serves every page; the others lead there, with the query; and what the pages call, they may call."""
    bases = {server.part: server.base for server in entrances.servers}
    console = bases["registration"]
    for part, base in bases.items():
        alone = Client({"all": base})
        for path in PAGES:
            if part == "registration":
                policy = page(alone, path).headers["Content-Security-Policy"]
                assert all(own in policy for own in bases.values() if own != console)
            elif path in LEADING[part]:
                reply = alone.get(f"{path}?from=mail&to=%E6%97%A5")
                assert (reply.status_code, reply.headers["Location"]) == (
                    302,
                    f"{console}{path}?from=mail&to=%E6%97%A5",
                )
            else:
                refused(alone.get(path), 404, "not-found")
        assert alone.get("/console/css/base.css").ok


@pytest.mark.regression("X22")
def test_a_redirect_leads_nowhere_else(entrances: Suite) -> None:
    """Whatever is asked for, and by whatever host name."""
    (login,) = (server.base for server in entrances.servers if server.part == "login")
    console = next(server.base for server in entrances.servers if server.part == "registration")
    for query in ("//evil.test", "@evil.test", "%0d%0aSet-Cookie: a=b", '"><script>', "x" * 2_000):
        reply = requests.get(f"{login}/login?{query}", headers={"Host": "evil.test"}, allow_redirects=False, timeout=10)
        assert reply.headers["Location"].startswith(f"{console}/login?")
        assert "Set-Cookie" not in reply.headers
        assert not set(reply.headers["Location"]) & set(' "<>\r\n')


def test_at_one_address_each_app_has_its_own_page() -> None:
    """Behind a proxy, where a redirect would lead to the same app again."""
    where = read_settings({"ICHIDAI_PUBLIC_URL": "https://a.test"}).addresses
    for serving in App:
        app = Flask("app")
        app.register_blueprint(page_blueprint(serving, addresses(where, serving, 5000)))
        answers = {path: app.test_client().get(path).status_code for path in PAGES}
        assert answers["/"] == 200
        assert answers["/login"] == (404 if serving in (App.SESSION, App.DEVICE) else 200)


@pytest.mark.parametrize("accept", ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"])
def test_a_browser_that_asks_for_an_unknown_address_gets_a_page(client: Client, accept: str) -> None:
    """In its language, under the policy, never kept as something else; it names the first page."""
    reply = client.get("/no/such/page", headers={"Accept": accept, "Accept-Language": "ja"})
    assert (reply.status_code, reply.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert set(reply.headers["Content-Security-Policy"].split("; ")) == POLICY
    assert "Accept" in reply.headers["Vary"]
    read = Read(reply.text)
    assert read.texts_in("h1") == {"ページが見つかりません"}
    assert [client.get(address).status_code for address in read.addresses if address.startswith("/")] == [200] * 4
    assert client.page_url("/") in read.addresses


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/problem+json, text/html;q=0.5", ""])
def test_a_program_that_asks_for_one_gets_the_problem_document(client: Client, accept: str) -> None:
    """As for every other failure; so does a browser's script that names no kind."""
    refused(client.get("/no/such/page", headers={"Accept": accept}), 404, "not-found")


def test_every_text_is_there_and_used() -> None:
    """In both languages; and the modules say what the pages bring along, no more and no less."""
    templates = [template.read_text(encoding="utf-8") for template in (CONSOLE / "templates").rglob("*.html")]
    named = {name for template in templates for name in re.findall(r"\btext\.(\w+)", template)}
    listed = {name for template in templates for name in _quoted(*re.findall(r"for name in \(([^)]+)\)", template))}
    parts = {f"{kind}_{name}" for kind in ("nav", "kind") for name in listed}
    titles = {f"{name}_title" for name in listed | {"home"}}
    assert named | {name for name in listed | parts | titles if name in TEXTS} == set(TEXTS)
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
    kinds = {f"event_{kind}" for kind in EventKind} | {"event_login-failed"}
    assert {name for name in SAID if name.startswith(families)} == reasons | kinds


def _quoted(*names: str) -> list[str]:
    return [word for name in names for word in re.findall(r"\"([\w-]+)\"", name)]
