"""All settings of the suite as one frozen value, read once at start from a mapping."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

import device_manager.config
import login_app.config
import registration.config
import session_manager.config
from common.account.policy_values import Values, read_values
from common.account.retention import AddressDetail, Retention
from common.clock import system_clock
from common.config import TEST_PREFIX, SettingsReader, with_new_names
from common.keys.witness import FILE_NAME as WITNESS_FILE
from common.storage.store_clock import StoreClock
from common.web.client_info import Network
from ichidai.brand import Brand, read_brand
from ichidai.relying_party import is_domain, is_of_domain
from ichidai.server_settings import ServerSettings, read_server_settings
from ichidai.topology import DOMAINS, AddressSettings, App
from session_manager.event_receivers import Receivers

FILE_NAME = "ichidai.sqlite"

_HEADER_SETTING = "ICHIDAI_CLIENT_CERT_HEADER"
_RFC_9440 = "client-cert"
_APPS = "android:apk-key-hash:"
"""Begins the origins of apps, which are no URLs (https://developer.android.com/identity/sign-in/credential-manager)."""

_POLLED = r"poll:[0-9a-f]{64}(\+[0-9a-f]{64})?"
"""A receiver of events that asks for them: the digest of its key, or of two while the key is changed."""

_LEAST_ENDING, _LEAST_LETTERS = 32, 8  # 128 bits in hex; and what only looks long is no secret


class Settings(Struct, frozen=True):
    """Where data, keys and the witness lie, where the suite is known, whom it trusts, and each package's own settings.

    `sealing_key`: what names the key-encrypting key where keys lie sealed in the store, "" where they are files.
    `event_receivers`: the machines that are told of each session's end, or ask for it.
    `events_port`: None for the usual one beside the app, 0 for none. `audit_kept`: how long the audit log is kept.
    `policy`: what this host's settings say of the session policy; what is in force is the store's to say.
    """

    store_url: str
    keys_dir: Path
    sealing_key: str
    witness_file: Path
    addresses: AddressSettings
    cors_origins: tuple[str, ...]
    passkey_rp_id: str
    passkey_origins: tuple[str, ...]
    trusted_proxies: tuple[Network, ...]
    client_cert_header: str | None
    port: int | None
    events_port: int | None
    audit_kept: timedelta
    retention: Retention
    event_receivers: Receivers
    brand: Brand
    server: ServerSettings
    registration: registration.config.RegistrationSettings
    login: login_app.config.LoginSettings
    session: session_manager.config.SessionSettings
    device: device_manager.config.DeviceSettings
    policy: Values


def read_settings(source: Mapping[str, str]) -> Settings:
    """Read the settings. Raises SettingsError with every fault at once."""
    reader = SettingsReader(with_new_names(source))
    data_dir = Path(reader.text("ICHIDAI_DATA_DIR", ".ichidai"))
    keys_dir = Path(reader.text("ICHIDAI_KEYS_DIR", str(data_dir / "keys")))
    settings = Settings(
        store_url=reader.text("ICHIDAI_STORE_URL", f"sqlite:///{data_dir / FILE_NAME}"),
        keys_dir=keys_dir,
        sealing_key=reader.text("ICHIDAI_SEALING_KEY", ""),
        witness_file=Path(reader.text("ICHIDAI_WITNESS_FILE", str(keys_dir / WITNESS_FILE))),
        addresses=_addresses(reader),
        cors_origins=reader.texts("ICHIDAI_CORS_ORIGINS"),
        passkey_rp_id=_rp_id(reader),
        passkey_origins=_passkey_origins(reader),
        trusted_proxies=_networks(reader, "ICHIDAI_TRUSTED_PROXIES"),
        client_cert_header=_certificate_header(reader),
        port=reader.integer("PORT", 0, 1, 65535) or None,
        events_port=_events_port(reader),
        audit_kept=timedelta(days=reader.integer("ICHIDAI_AUDIT_DAYS", 400, 1, 36_500)),
        retention=_retention(reader),
        event_receivers=_event_receivers(reader),
        brand=read_brand(reader),
        server=read_server_settings(reader),
        registration=registration.config.read_settings(reader),
        login=login_app.config.read_settings(reader),
        session=session_manager.config.read_settings(reader),
        device=device_manager.config.read_settings(reader),
        policy=read_values(reader),
    )
    if settings.session.certificate_bound and settings.client_cert_header is None:
        reader.fault(f"ICHIDAI_CERTIFICATE_BOUND_TOKENS needs {_HEADER_SETTING}: no certificate is seen without it")
    reader.finish()
    return settings


def _retention(reader: SettingsReader) -> Retention:
    """Read what is kept of what happened, and how long. A history of no days is one that is kept for ever."""
    days = reader.integer("ICHIDAI_HISTORY_DAYS", 400, 0, 36_500)
    return Retention(
        history=timedelta(days=days) if days else None,
        failures=timedelta(days=reader.integer("ICHIDAI_FAILED_LOGIN_DAYS", 90, 1, 36_500)),
        addresses=AddressDetail(reader.choice("ICHIDAI_RECORDED_ADDRESSES", AddressDetail.FULL, tuple(AddressDetail))),
    )


class OverridesForTests(Struct, frozen=True):
    """What the tests' own names change in a process: its clock, the store's, and what a password's hash costs."""

    cheap_hash: bool
    clock_offset: timedelta
    store_clock_offset: timedelta

    @property
    def clock(self) -> StoreClock:
        """The store's clock, not measured yet, in a process whose own clock is as wrong as a test has set it."""
        return StoreClock(self.host_clock, ahead=self.store_clock_offset)

    def host_clock(self) -> datetime:
        """Return the time by this process's own clock, as wrong as a test has set it."""
        return system_clock() + self.clock_offset


def read_test_overrides(source: Mapping[str, str]) -> OverridesForTests:
    """Read the names that are the tests' own. Raises SettingsError."""
    reader = SettingsReader({name: value for name, value in source.items() if name.startswith(TEST_PREFIX)})
    overrides = OverridesForTests(
        reader.boolean("ICHIDAI_TEST_CHEAP_HASH", default=False),
        _offset(reader, "ICHIDAI_TEST_CLOCK_OFFSET_SECONDS"),
        _offset(reader, "ICHIDAI_TEST_STORE_CLOCK_OFFSET_SECONDS"),
    )
    reader.finish()
    return overrides


def _offset(reader: SettingsReader, name: str) -> timedelta:
    offset = reader.text(name, "0")
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", offset):
        reader.fault(f"{name} must be signed whole seconds, not {offset!r}")
        offset = "0"
    return timedelta(seconds=int(offset))


def _addresses(reader: SettingsReader) -> AddressSettings:
    return AddressSettings(
        public_url=_url(reader, "ICHIDAI_PUBLIC_URL"),
        issuer=_url(reader, "ICHIDAI_ISSUER"),
        console_url=_url(reader, "ICHIDAI_CONSOLE_URL"),
        events_url=_url(reader, "ICHIDAI_EVENTS_URL"),
        app_urls={domain: _url(reader, f"ICHIDAI_{domain.upper()}_URL") for domain in (*DOMAINS, App.ADMIN)},
    )


def _events_port(reader: SettingsReader) -> int | None:
    if reader.text("ICHIDAI_EVENTS_PORT", "") == "off":
        return 0
    return reader.integer("ICHIDAI_EVENTS_PORT", 0, 1, 65535) or None


def _event_receivers(reader: SettingsReader) -> Receivers:
    """Read the machines that are told of endings. What is wrong quotes neither URL nor digest."""
    push: dict[str, str] = {}
    poll: dict[str, tuple[str, ...]] = {}
    for text in reader.texts("ICHIDAI_EVENT_RECEIVERS"):
        name, _, where = text.partition("=")
        digests = tuple(where.removeprefix("poll:").split("+")) if re.fullmatch(_POLLED, where) else ()
        is_new = name not in push and name not in poll and not {*digests} & {d for each in poll.values() for d in each}
        if not re.fullmatch(r"[a-z0-9-]{1,32}", name) or not is_new or not (digests or _is_safe_url(where)):
            expected = "NAME=https://… or NAME=poll:DIGEST (ichidai event-key), each name and key once"
            reader.fault(f"ICHIDAI_EVENT_RECEIVERS takes {expected}, not what begins {name!r}")
        elif digests:
            poll[name] = digests
        else:
            push[name] = where
    return Receivers(push, poll)


def _is_safe_url(url: str) -> bool:
    parts = urlsplit(url) if _is_base_url(url.partition("?")[0]) else urlsplit("")
    return parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost", "::1")


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


def _rp_id(reader: SettingsReader) -> str:
    rp_id = reader.text("ICHIDAI_PASSKEY_RP_ID", "")
    if rp_id and not is_domain(rp_id):
        reader.fault(f"ICHIDAI_PASSKEY_RP_ID must be a domain name such as example.com, not {rp_id!r}")
    return rp_id


def _passkey_origins(reader: SettingsReader) -> tuple[str, ...]:
    """Read the origins of an operator's own pages and apps; pages must be of the domain that passkeys are made for."""
    origins, rp_id = reader.texts("ICHIDAI_PASSKEY_ORIGINS"), reader.text("ICHIDAI_PASSKEY_RP_ID", "")
    for origin in origins:
        if not origin.startswith(_APPS) and not (rp_id and is_of_domain(origin, rp_id)):
            reader.fault(f"ICHIDAI_PASSKEY_ORIGINS takes origins of ICHIDAI_PASSKEY_RP_ID, not {origin!r}")
    return origins


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
