"""`ichidai doctor` against planted faults: each is named, with its remedy, and nothing is changed."""

from __future__ import annotations

import http.server
import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from common.clock import system_clock
from common.keys.key_registry import REGISTRY
from common.keys.keyring import FILE_NAME
from common.keys.witness import FILE_NAME as WITNESS_FILE
from common.storage.port import Item
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, KEY_RING
from ichidai.cli.doctor import app as doctor
from ichidai.diagnosis import clock_findings
from ichidai.mail_diagnosis import mail_fault
from ichidai.settings import read_settings
from ichidai.topology import App
from ichidai.wiring.build import build
from registration.config import MailServer
from tests.support.engines import Engine, dynamodb_without_tables, local_dynamodb, with_tables
from tests.support.mail_server import Mailbox, serving_mail
from tests.support.servers import free_port

Look = Callable[..., tuple[int, list[tuple[str, str, str]]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of a suite that was started once."""
    folder = tmp_path_factory.mktemp("made")
    build(read_settings({"ICHIDAI_DATA_DIR": str(folder)}), App.ALL, 8000).close()
    return folder


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """Return a copy of it, to be spoiled."""
    for path in made.rglob("*"):
        target = tmp_path / "data" / path.relative_to(made)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            target.write_bytes(path.read_bytes())
            target.chmod(0o600)
    return tmp_path / "data"


@pytest.fixture
def look(data: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Return what runs `ichidai doctor` with more settings: the exit status and what it found."""
    for name in [name for name in os.environ if name.startswith(("ICHIDAI_", "SNS_", "MAX_CONCURRENT"))]:
        monkeypatch.delenv(name)

    def look(**settings: str) -> tuple[int, list[tuple[str, str, str]]]:
        environment = {"ICHIDAI_DATA_DIR": str(data), "ICHIDAI_CONNECTIONS": "100", **settings}
        result = CliRunner().invoke(doctor, ["--json"], env=environment)
        found = [json.loads(line) for line in result.stdout.splitlines()]
        return result.exit_code, [(each["weight"], each["about"], each["text"]) for each in found]

    return look


def spoil_ring(data: Path, change: Callable[[Item], Item]) -> None:
    """Change the key ring's item in the store."""
    with closing(SqliteStore(data / "ichidai.sqlite", ALL, system_clock)) as store:
        item = store.get(REGISTRY)
        assert item is not None
        store.put(KEY_RING, change(item))


def the_fault(found: tuple[int, list[tuple[str, str, str]]]) -> tuple[str, str]:
    """Return the one fault, which must be exit status 1."""
    status, findings = found
    faults = [(about, text) for weight, about, text in findings if weight == "fault"]
    assert (status, len(faults)) == (1, 1), findings
    return faults[0]


def content(folder: Path) -> dict[Path, bytes]:
    """Return the files of a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.suffix in (".json", ".sqlite")}


def test_a_good_host_has_advice_alone(look: Look, data: Path) -> None:
    """Exit status 0, and not a byte is changed."""
    before = content(data)
    status, found = look()
    assert (status, [(weight, about) for weight, about, _ in found]) == (0, [("advice", "notices"), ("advice", "mail")])
    assert content(data) == before


def test_a_host_that_never_started_is_left_as_it_is(look: Look, tmp_path: Path) -> None:
    """Nothing is made there."""
    status, found = look(ICHIDAI_DATA_DIR=str(tmp_path / "new"))
    assert (status, [about for _, about, _ in found]) == (0, ["notices", "mail", "store"])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("settings", "about", "told"),
    [
        ({"ICHIDAI_NONSENSE": "1"}, "settings", "ICHIDAI_NONSENSE"),
        ({"MAX_CONCURRENT_DEVICES": "many"}, "settings", "MAX_CONCURRENT_DEVICES"),
        ({"ICHIDAI_TEST_CHEAP_HASH": "true"}, "settings", "unset it"),
        ({"ICHIDAI_TRUSTED_PROXIES": "0.0.0.0/0"}, "proxy", "list the proxies"),
        ({"ICHIDAI_STORE_URL": "mysql://x"}, "store", "ICHIDAI_STORE_URL"),
        ({"ICHIDAI_TEST_CLOCK_OFFSET_SECONDS": "-99999999"}, "clock", "before the keys were made"),
    ],
)
def test_faults_of_settings(look: Look, settings: dict[str, str], about: str, told: str) -> None:
    """Each is named with its remedy."""
    _, found = look(**settings)
    assert any(where == about and told in text for weight, where, text in found if weight == "fault"), found


def test_advice_of_settings(look: Look) -> None:
    """What may be meant so is no fault."""
    status, found = look(ICHIDAI_PUBLIC_URL="https://accounts.example.test")
    assert (status, any("share its login limits" in text for _, _, text in found)) == (0, True)
    assert any("in clear" in text for _, _, text in look(ICHIDAI_PUBLIC_URL="http://accounts.example.test")[1])
    if os.name != "nt":
        assert any(about == "open files" for _, about, _ in look(ICHIDAI_CONNECTIONS="1000000")[1])


def test_faults_of_keys(look: Look, data: Path) -> None:
    """Readable by others, not those of the store, spoiled, gone."""
    ring = data / "keys" / FILE_NAME
    if os.name != "nt":
        ring.chmod(0o644)
        about, text = the_fault(look())
        assert (about, "chmod 600" in text) == ("permissions", True)
        ring.chmod(0o600)
    good = ring.read_text(encoding="ascii")
    build(read_settings({"ICHIDAI_DATA_DIR": str(data / "other")}), App.ALL, 8000).close()
    ring.write_bytes((data / "other" / "keys" / FILE_NAME).read_bytes())
    assert "not those this store" in the_fault(look())[1]
    ring.write_text(good[: len(good) // 2], encoding="ascii")
    assert "cannot be read" in the_fault(look())[1]
    ring.unlink()
    assert "Copy keyring.json" in the_fault(look())[1]


def test_faults_of_the_witness(look: Look, data: Path, tmp_path: Path) -> None:
    """Gone beside a store that was served, not whole, and ahead of a store that was restored."""
    witness = data / "keys" / WITNESS_FILE
    good = json.loads(witness.read_text(encoding="ascii"))
    elsewhere = tmp_path / "witness.json"
    status, found = look(ICHIDAI_WITNESS_FILE=str(elsewhere))
    assert (status, [about for _, about, _ in found]) == (0, ["notices", "mail", "witness"])
    assert "would not be noticed" in found[2][2]
    assert not elsewhere.exists(), "the doctor makes nothing"
    witness.write_text(json.dumps(good)[:-9], encoding="ascii")
    assert [part in the_fault(look())[1] for part in ("cannot be read", "ichidai restore accept")] == [True, True]
    witness.write_text(json.dumps({**good, "progress": good["progress"] + 1}), encoding="ascii")
    about, text = the_fault(look())
    assert (about, "older than this host has seen it" in text, "ichidai restore accept" in text) == (
        "witness",
        True,
        True,
    )
    witness.write_text(json.dumps(good), encoding="ascii")
    assert look()[0] == 0


def test_faults_of_the_store(look: Look, data: Path) -> None:
    """A later schema, an unfinished migration; and a store that cannot be looked at is exit status 2."""
    spoil_ring(data, lambda item: {**item, "migrating": True})
    assert "not finished" in the_fault(look())[1]
    spoil_ring(data, lambda item: {**item, "schema": 99})
    assert "later release" in the_fault(look())[1]
    database = data / "ichidai.sqlite"
    database.unlink()
    for beside in data.glob("ichidai.sqlite-*"):
        beside.unlink()
    database.write_bytes(b"no database at all" * 100)
    assert look()[0] == 2


def test_a_file_where_a_folder_must_be(look: Look, tmp_path: Path) -> None:
    """It is named."""
    (tmp_path / "taken").write_text("a file", encoding="ascii")
    _, found = look(ICHIDAI_DATA_DIR=str(tmp_path / "taken"))
    assert any(about == "files" and "is a file" in text for _, about, text in found)


def test_dynamodb(look: Look, tmp_path: Path) -> None:
    """Tables that are missing, all well, nobody there; and the witness of a host that served another store."""
    engine: Engine = dynamodb_without_tables(local_dynamodb())
    own = {**engine.settings, "ICHIDAI_WITNESS_FILE": str(tmp_path / "witness.json")}
    status, found = look(**engine.settings)
    assert (status, all("tables create" in text for _, about, text in found if about == "store")) == (1, True)
    with_tables(engine)
    assert look(**own)[0] == 0, look(**own)
    about, text = the_fault(look(**engine.settings))
    assert (about, "this host has served another one" in text) == ("witness", True)
    nowhere = {**engine.settings, "ICHIDAI_STORE_URL": "dynamodb://?endpoint=http://127.0.0.1:9"}
    assert look(**nowhere)[0] == 2


@pytest.mark.parametrize("seconds", [900, -3600, 0])
def test_a_clock_that_is_off_dynamodbs(seconds: int) -> None:
    """By the date of an answer, which AWS tells and DynamoDB Local does not; here any server tells it."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"dynamodb://?endpoint=http://127.0.0.1:{server.server_port}"
    settings = read_settings({"ICHIDAI_STORE_URL": url, "AWS_REGION": "eu-central-1"})
    try:
        found = list(clock_findings(settings, lambda: system_clock() + timedelta(seconds=seconds)))
    finally:
        server.shutdown()
        server.server_close()
    assert bool(found) is bool(seconds)
    for finding in found:
        said = re.search(r"([+-][0-9]+) s off", finding.text)
        assert said
        assert abs(int(said[1]) - seconds) < 60


# --- The mail server ----------------------------------------------------------------------------------------------


@contextmanager
def mail_server(**more: object) -> Iterator[int]:
    """Serve SMTP that lets `anna` in with `right` alone; yield the port."""

    def admit(_server: object, _session: object, _envelope: object, _kind: str, shown: Any) -> AuthResult:
        return AuthResult(success=(shown.login, shown.password) == (b"anna", b"right"), handled=False)

    controller = Controller(Mailbox(), hostname="127.0.0.1", port=free_port(), authenticator=admit, **more)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def own_certificate(folder: Path) -> ssl.SSLContext:
    """Return what serves TLS with a certificate that nobody trusts."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=127.0.0.1")
    now = system_clock()
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "mail.pem").write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "mail.pem")
    return context


def elsewhere(port: int) -> MailServer:
    """Return a server of this machine as one that is on another is treated."""
    return MailServer("127.0.0.1", port, "", "", "suite@example.test", is_loopback=False)


def test_a_mail_server_that_takes_mails(look: Look) -> None:
    """With a right password or where none is asked for: nothing is said, and no mail is sent."""
    with serving_mail() as (address, mailbox):
        assert "mail" not in [about for _, about, _ in look(ICHIDAI_MAIL=address)[1]]
        assert mailbox.tries == 0
    with mail_server(auth_require_tls=False) as port:
        assert "mail" not in [about for _, about, _ in look(ICHIDAI_MAIL=f"smtp://anna:right@127.0.0.1:{port}")[1]]


def test_faults_of_the_mail_server(look: Look, tmp_path: Path) -> None:
    """Nobody there, no such host, a wrong password, no logins, no TLS, a certificate that is not good, a sender."""
    port = free_port()
    about, told = the_fault(look(ICHIDAI_MAIL=f"smtp://127.0.0.1:{port}"))
    assert (about, f"nothing listens at 127.0.0.1:{port}: check host and port" in told) == ("mail", True)
    unknown = {"ICHIDAI_MAIL": "smtp://mail.nowhere.invalid:25", "ICHIDAI_MAIL_FROM": "suite@example.test"}
    assert "check the host in ICHIDAI_MAIL" in the_fault(look(**unknown))[1]
    with mail_server(auth_require_tls=False) as port:
        told = the_fault(look(ICHIDAI_MAIL=f"smtp://anna:wr0ng-one@127.0.0.1:{port}"))[1]
        assert "refuses the user or the password (535): check those" in told
        assert "wr0ng-one" not in told
    with serving_mail() as (address, _):
        told = the_fault(look(ICHIDAI_MAIL=address.replace("//", "//anna:right@")))[1]
        assert "takes no logins: leave user and password out" in told
        told = mail_fault(elsewhere(int(address.rpartition(":")[2]))) or ""
        assert "offers no TLS (STARTTLS): switch it on there" in told
    with mail_server(tls_context=own_certificate(tmp_path)) as port:
        told = mail_fault(elsewhere(port)) or ""
        assert re.search("certificate of .* is not good .*: name the server as its certificate does", told), told


def hang_up_on(listening: socket.socket) -> None:
    """Let the next connection end at once."""
    listening.accept()[0].close()


class _Picky(Mailbox):
    """A server that takes mails of its own domain alone."""

    async def handle_MAIL(self, *_: object) -> str:  # noqa: N802 - aiosmtpd's
        """Refuse every sender."""
        return "553 not from here"


def test_a_mail_server_that_refuses_the_sender_or_hangs_up(look: Look) -> None:
    """The sender is named, and the port for TLS from the first byte is."""
    controller = Controller(_Picky(), hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        told = the_fault(look(ICHIDAI_MAIL=f"smtp://127.0.0.1:{controller.port}"))[1]
    finally:
        controller.stop()
    assert "refuses the sender ichidai@localhost (553): set ICHIDAI_MAIL_FROM" in told
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        threading.Thread(target=hang_up_on, args=(listening,), daemon=True).start()
        told = the_fault(look(ICHIDAI_MAIL=f"smtp://127.0.0.1:{listening.getsockname()[1]}"))[1]
    assert "hangs up: name the port" in told
