"""All settings of the suite as one frozen value, read once at start from a mapping."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

import device_manager.config
import login_app.config
import registration.config
import session_manager.config
from common.config import TEST_PREFIX, SettingsReader
from common.web.clients import Network

FILE_NAME = "ichidai.sqlite"

_HEADER_SETTING = "ICHIDAI_CLIENT_CERT_HEADER"
_RFC_9440 = "client-cert"
_LEAST_ENDING, _LEAST_LETTERS = 32, 8  # 128 bits in hex; and what only looks long is no secret


class Settings(Struct, frozen=True):
    """Where data and keys lie, where the suite is known, whom it trusts, and each room's own settings.

    `events_port`: None for the usual one beside the app, 0 for none.
    """

    store_url: str
    keys_dir: Path
    public_url: str
    issuer: str
    cors_origins: tuple[str, ...]
    trusted_proxies: tuple[Network, ...]
    client_cert_header: str | None
    port: int | None
    events_url: str
    events_port: int | None
    registration: registration.config.RegistrationSettings
    login: login_app.config.LoginSettings
    session: session_manager.config.SessionSettings
    device: device_manager.config.DeviceSettings


def read_settings(source: Mapping[str, str]) -> Settings:
    """Read the settings. Raises SettingsError with every fault at once."""
    reader = SettingsReader(source)
    data_dir = Path(reader.text("ICHIDAI_DATA_DIR", ".ichidai"))
    settings = Settings(
        store_url=reader.text("ICHIDAI_STORE_URL", f"sqlite:///{data_dir / FILE_NAME}"),
        keys_dir=Path(reader.text("ICHIDAI_KEYS_DIR", str(data_dir / "keys"))),
        public_url=_url(reader, "ICHIDAI_PUBLIC_URL"),
        issuer=_url(reader, "ICHIDAI_ISSUER"),
        cors_origins=reader.texts("ICHIDAI_CORS_ORIGINS"),
        trusted_proxies=_networks(reader, "ICHIDAI_TRUSTED_PROXIES"),
        client_cert_header=_certificate_header(reader),
        port=reader.integer("PORT", 0, 1, 65535) or None,
        events_url=_url(reader, "ICHIDAI_EVENTS_URL"),
        events_port=_events_port(reader),
        registration=registration.config.read_settings(reader),
        login=login_app.config.read_settings(reader),
        session=session_manager.config.read_settings(reader),
        device=device_manager.config.read_settings(reader),
    )
    if settings.session.certificate_bound and settings.client_cert_header is None:
        reader.fault(f"ICHIDAI_CERTIFICATE_BOUND_TOKENS needs {_HEADER_SETTING}: no certificate is seen without it")
    reader.finish()
    return settings


class Trials(Struct, frozen=True):
    """What the tests' own names change in a server process: its clock, and what a password's hash costs."""

    cheap_hash: bool
    clock_offset: timedelta


def read_trials(source: Mapping[str, str]) -> Trials:
    """Read the names that are the tests' own. Raises SettingsError."""
    reader = SettingsReader({name: value for name, value in source.items() if name.startswith(TEST_PREFIX)})
    offset = reader.text("ICHIDAI_TEST_CLOCK_OFFSET_SECONDS", "0")
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", offset):
        reader.fault(f"ICHIDAI_TEST_CLOCK_OFFSET_SECONDS must be signed whole seconds, not {offset!r}")
        offset = "0"
    trials = Trials(reader.boolean("ICHIDAI_TEST_CHEAP_HASH", default=False), timedelta(seconds=int(offset)))
    reader.finish()
    return trials


def _events_port(reader: SettingsReader) -> int | None:
    if reader.text("ICHIDAI_EVENTS_PORT", "") == "off":
        return 0
    return reader.integer("ICHIDAI_EVENTS_PORT", 0, 1, 65535) or None


def _url(reader: SettingsReader, name: str) -> str:
    url = reader.text(name, "").rstrip("/")
    if url and not _is_base_url(url):
        reader.fault(f"{name} must be a URL such as https://accounts.example.com, not {url!r}")
    return url


def _is_base_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what finds a wrong one
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment


def _certificate_header(reader: SettingsReader) -> str | None:
    """Read the name of the header for client certificates: RFC 9440's own, or one that no client can guess."""
    name = reader.text(_HEADER_SETTING, "")
    if not name:
        return None
    ending = name.rpartition("-")[2]
    is_guessable = len(ending) < _LEAST_ENDING or len(set(ending.lower())) < _LEAST_LETTERS
    if not re.fullmatch(r"[A-Za-z0-9-]{1,128}", name) or (is_guessable and name.lower() != _RFC_9440):
        reader.fault(
            f"{_HEADER_SETTING} must be Client-Cert, or better a name that no client can guess: "
            f"Client-Cert- and at least {_LEAST_ENDING} random letters and digits"
        )
    if not reader.texts("ICHIDAI_TRUSTED_PROXIES"):
        reader.fault(f"{_HEADER_SETTING} needs the proxy's address in ICHIDAI_TRUSTED_PROXIES")
    return name


def _networks(reader: SettingsReader, name: str) -> tuple[Network, ...]:
    networks: list[Network] = []
    for text in reader.texts(name):
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError:
            reader.fault(f"{name} takes addresses and networks such as 10.0.0.0/8, not {text!r}")
    return tuple(networks)
