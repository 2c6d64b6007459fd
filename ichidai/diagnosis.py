"""Looking for what is wrong with a host before a server is started, or beside one: nothing is made and nothing changed.

Each finding is a sentence with its remedy. A check that cannot look raises StoreUnavailable.
"""

from __future__ import annotations

import email.utils
import os
import shutil
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from common.clock import Clock
from common.config import TEST_PREFIX, SettingsError
from common.keys.generation_store import check_witness, read_generation
from common.keys.key_registry import REGISTRY, check_complete, check_lineage, not_here, read_registry
from common.keys.keyring import FILE_NAME, KeyRingError, load_ring
from common.keys.witness import WitnessFile
from common.storage.opening import StoreUrlError, open_store, open_tables
from common.storage.port import Conflict, Equals, Store, StoreUnavailable
from common.storage.tables import KEY_RING
from ichidai.key_place import check_sealing_key, key_folder
from ichidai.mail_diagnosis import mail_fault
from ichidai.server.open_files import open_files_bound
from ichidai.settings import Settings, read_settings, read_test_overrides
from registration.email_sender import NO_TOPIC, topic_fault

_LEAST_FREE, _LITTLE_FREE = 50 * 2**20, 500 * 2**20
_CLOCK_MAY_BE_OFF = timedelta(seconds=5)
_ANSWER_SECONDS = 3


class Weight(StrEnum):
    """How much a finding weighs: a fault keeps the suite from serving, or from being safe; advice may be ignored."""

    FAULT = "fault"
    ADVICE = "advice"


class Finding(Struct, frozen=True):
    """Something that is wrong, or could be better, as a sentence with its remedy. `about`: which check found it."""

    weight: Weight
    about: str
    text: str


def diagnose(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Give what is found, as it is found. Raises StoreUnavailable where a check could not look."""
    try:
        settings, clock = read_settings(environment), read_test_overrides(environment).host_clock
    except SettingsError as error:
        yield from (_fault("settings", f"{text}.") for text in error.faults)
        return
    yield from _test_settings(environment)
    yield from _proxies(settings)
    yield from _files(settings)
    yield from _limits(settings)
    yield from _notices(settings)
    yield from _mail(settings)
    yield from _store_and_keys(settings, clock)


def _fault(about: str, text: str) -> Finding:
    return Finding(Weight.FAULT, about, text)


def _advice(about: str, text: str) -> Finding:
    return Finding(Weight.ADVICE, about, text)


def _test_settings(environment: Mapping[str, str]) -> Iterator[Finding]:
    for name in sorted(name for name in environment if name.startswith(TEST_PREFIX) and environment[name]):
        yield _fault("settings", f"{name} is for tests alone, and may make passwords cheap to guess: unset it.")


def _proxies(settings: Settings) -> Iterator[Finding]:
    url = settings.addresses.public_url
    if any(network.prefixlen == 0 for network in settings.trusted_proxies):
        yield _fault(
            "proxy",
            "ICHIDAI_TRUSTED_PROXIES trusts every address, so any client may write its own address and certificate: "
            "list the proxies alone.",
        )
    if url.startswith("https://") and not settings.trusted_proxies:
        yield _advice(
            "proxy",
            "ICHIDAI_PUBLIC_URL is https, so a proxy ends TLS, but ICHIDAI_TRUSTED_PROXIES is empty: all clients count "
            "as one address and share its login limits. Set it to the proxy's address.",
        )
    if url.startswith("http://") and not any(f"//{here}" in url for here in ("127.", "localhost", "[::1]")):
        yield _advice("proxy", "ICHIDAI_PUBLIC_URL is http: passwords cross the network in clear. Put TLS in front.")


def _files(settings: Settings) -> Iterator[Finding]:
    database = database_of(settings)
    folders = {settings.keys_dir, settings.witness_file.parent, *([database.parent] if database else [])}
    for folder in sorted(folders):
        nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not nearest.is_dir():
            yield _fault("files", f"{nearest} is a file where a folder must be: move it, or set ICHIDAI_DATA_DIR.")
        elif not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
            yield _fault("files", f"{nearest} cannot be written to by this user: change its owner or its mode.")
        else:
            yield from _disk(nearest)
    yield from _modes(settings.keys_dir, database)


def _disk(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    text = f"{free // 2**20} MiB are free where {folder} lies: free some, or move it"
    if free < _LEAST_FREE:
        yield _fault("disk", f"{text}; soon nothing can be written.")
    elif free < _LITTLE_FREE:
        yield _advice("disk", f"{text}.")


def _modes(keys_dir: Path, database: Path | None) -> Iterator[Finding]:
    """Find files that others may read; Windows tells no modes."""
    if os.name == "nt":
        return
    for path in sorted(keys_dir.glob("*.json")):
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield _fault("permissions", f"{path} holds private keys, and others may read it: chmod 600 {path}")
    if database and database.is_file() and database.stat().st_mode & stat.S_IRWXO:
        yield _advice("permissions", f"{database} may be read by all users of this host: chmod 600 {database}")


def _limits(settings: Settings) -> Iterator[Finding]:
    wanted, bound = settings.server.connections, open_files_bound()
    if bound is not None and bound < wanted:
        yield _advice(
            "open files",
            f"This process may open {bound} files, and ICHIDAI_CONNECTIONS is {wanted}: raise the hard limit "
            "(systemd: LimitNOFILE), or lower the setting.",
        )


def _notices(settings: Settings) -> Iterator[Finding]:
    aws = settings.registration
    if aws.sns_topic_arn in NO_TOPIC:
        yield _advice("notices", "SNS_TOPIC_ARN is not set: nobody is told of new devices or of operators' acts.")
        return
    fault = topic_fault(aws.sns_topic_arn, aws.aws_region)
    if fault:
        yield _fault("notices", fault)


def _mail(settings: Settings) -> Iterator[Finding]:
    server = settings.registration.mail
    if server is None:
        yield _advice(
            "mail",
            "ICHIDAI_MAIL is off: addresses are not confirmed, a forgotten password is not replaced by mail, and no "
            "account is told of what is done to it. Set it to a mail server.",
        )
    elif fault := mail_fault(server):
        yield _fault("mail", fault)


def _store_and_keys(settings: Settings, clock: Clock) -> Iterator[Finding]:
    database = database_of(settings)
    if database is not None and not database.exists():
        yield _advice("store", f"{database} is not there yet: the first start makes it.")
        yield from _sealing_key(settings)
        return
    region = settings.registration.aws_region or None
    try:
        tables = open_tables(settings.store_url, region)
        store = open_store(settings.store_url, clock, region)
    except StoreUrlError as error:
        yield _fault("store", f"ICHIDAI_STORE_URL: {error}.")
        return
    try:
        if tables is not None:
            faults = tables.check()
            yield from (_fault("store", f"{text}.") for text in faults)
            if faults:
                yield from _sealing_key(settings)
                return
        yield from clock_findings(settings, clock)
        yield from _writing(store)
        yield from _keys(store, settings, clock)
        yield from _witness(store, WitnessFile(settings.witness_file))
    finally:
        store.close()


def _writing(store: Store) -> Iterator[Finding]:
    """Try a write on a condition that cannot hold: the engine has to be able to write to say so."""
    try:
        store.put(KEY_RING, {"id": "doctor"}, Equals("id", "nobody"))
    except Conflict:
        return
    yield _fault("store", "The store made a write whose condition did not hold: it is no store of this suite.")


def _sealing_key(settings: Settings) -> Iterator[Finding]:
    """Try the key-encrypting key where it has sealed nothing yet: the first start will need it."""
    try:
        check_sealing_key(settings)
    except KeyRingError as error:
        yield _fault("keys", str(error))


def _keys(store: Store, settings: Settings, clock: Clock) -> Iterator[Finding]:
    item, now = store.get(REGISTRY), clock()
    try:
        path = key_folder(settings, store) / FILE_NAME
        listed = read_registry(item)
        if not path.exists():
            yield from _sealing_key(settings)
            if item is not None:
                yield _fault("keys", not_here(path))
            return
        ring = load_ring(path)
        check_lineage(ring, item, path)
        if item is not None:
            check_complete(ring, listed, now)
    except KeyRingError as error:
        yield _fault("keys", str(error))
        return
    if ring.authority.certificate.not_valid_before_utc > now:
        yield _fault("clock", f"The clock says {now:%Y-%m-%d %H:%M} UTC, before the keys were made: set it (NTP).")


def _witness(store: Store, witness: WitnessFile) -> Iterator[Finding]:
    """Compare the store with what this host has seen of it, as a server does before it serves."""
    try:
        check_witness(store, witness)
        is_there = witness.read() is not None
    except KeyRingError as error:
        yield _fault("witness", str(error))
        return
    if not is_there and read_generation(store) is not None:
        yield _advice(
            "witness",
            f"The store was served, and {witness.path} is not there, so a restored store would not be noticed on this "
            "host. The next start makes it; if it was deleted, make sure first that the store was not restored.",
        )


def clock_findings(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Compare the clock with DynamoDB's, which refuses requests of clocks that are minutes off."""
    endpoint = dynamodb_endpoint(settings)
    told = None if endpoint is None else _date_of(endpoint)
    if told is not None and abs(told - clock()) > _CLOCK_MAY_BE_OFF + timedelta(seconds=1):
        off = (clock() - told).total_seconds()
        yield _fault("clock", f"The clock is {off:+.0f} s off DynamoDB's: sessions end at wrong times. Set it (NTP).")


def dynamodb_endpoint(settings: Settings) -> str | None:
    """Return where the store's DynamoDB answers, None for another store."""
    if not settings.store_url.startswith("dynamodb:"):
        return None
    given = settings.store_url.partition("endpoint=")[2].partition("&")[0]
    return given or f"https://dynamodb.{settings.registration.aws_region}.amazonaws.com"


def database_of(settings: Settings) -> Path | None:
    """Return SQLite's file, None for another store."""
    if not settings.store_url.startswith("sqlite:///"):
        return None
    return Path(settings.store_url.removeprefix("sqlite:///"))


def _date_of(url: str) -> datetime | None:
    """Return the time that a server tells in its answer, whatever that is; None where it tells none."""
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - the settings name it
            date = answer.headers.get("Date")
    except urllib.error.HTTPError as refused:
        date = refused.headers.get("Date")
    except OSError as error:
        raise StoreUnavailable(f"{url} does not answer: {error}") from error
    return email.utils.parsedate_to_datetime(date).astimezone(UTC) if date else None
