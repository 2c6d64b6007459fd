"""Which store a URL opens, and what is said of one that opens none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from common.clock import system_clock
from common.storage import opening
from common.storage.dynamodb.client import DEFAULT_LIMITS
from common.storage.opening import StoreUrlError, open_store, open_tables
from common.storage.port import StoreUnavailable
from common.storage.tables import USERS

ROOT = Path(__file__).parents[2]


def test_a_relative_and_an_absolute_path_are_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes begin a path from the working folder, four one from the root; both make the file."""
    monkeypatch.chdir(tmp_path)
    for url, file in (
        ("sqlite:///a/b.db", tmp_path / "a" / "b.db"),
        (f"sqlite:///{tmp_path}/c d%.db", tmp_path / "c d%.db"),
    ):
        store = open_store(url, system_clock)
        store.put(USERS, {"uuid": "u"})
        store.close()
        assert file.is_file()
        assert open_tables(url) is None


def test_a_place_in_dynamodb_is_read_from_the_url() -> None:
    """Prefix, region and endpoint; the URL's region goes before the environment's."""
    place = opening._location("dynamodb://Dev.1_?endpoint=http://127.0.0.1:8000&region=eu-west-1", "us-east-1")
    assert (place.prefix, place.region, place.endpoint) == ("Dev.1_", "eu-west-1", "http://127.0.0.1:8000")
    place = opening._location("dynamodb://", "us-east-1")
    assert (place.prefix, place.region, place.endpoint) == ("", "us-east-1", None)


def test_an_answer_is_waited_for_as_long_as_the_url_says() -> None:
    """One second by default; with more no try is given up before it."""
    assert opening._limits("dynamodb://p") == DEFAULT_LIMITS
    patient = opening._limits("dynamodb://p?endpoint=http://127.0.0.1:8000&answer=4")
    assert (patient.answer, patient.wait) == (4.0, 4.0)
    assert opening.canonical_url("dynamodb://p?answer=4&expiry=sweep", "eu-west-1") == "dynamodb://p?region=eu-west-1"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "is no store"),
        ("memory://", "is no store"),
        ("postgresql://host/db", "is no store"),
        ("store.db", "is no store"),
        ("SQLITE:///a.db", "is no store"),
        ("sqlite://", "takes a path"),
        ("sqlite:///", "takes a path"),
        ("sqlite://store.db", "takes a path"),
        ("sqlite:///a.db?mode=ro", "takes a path"),
        ("sqlite:///a.db#x", "takes a path"),
        ("dynamodb://a b", "prefix"),
        ("dynamodb://key:secret@host", "prefix"),
        ("dynamodb://" + "x" * 201, "prefix"),
        ("dynamodb://[x", "cannot be read"),
        ("dynamodb://p/table", "no path"),
        ("dynamodb://p#x", "no path"),
        ("dynamodb://p?region=EU West", "region"),
        ("dynamodb://p?endpoint=127.0.0.1:8000", "endpoint"),
        ("dynamodb://p?endpoint=http://", "endpoint"),
        ("dynamodb://p?endpoint=http://h:port", "cannot be read"),
        ("dynamodb://p?endpoint=http://h&endpoint=http://i", "twice"),
        ("dynamodb://p?endpoint=", "empty"),
        ("dynamodb://p?answer=0", "1 to 10"),
        ("dynamodb://p?answer=2.5", "1 to 10"),
        ("dynamodb://p?expiry=never", "ttl, or sweep"),
        ("dynamodb://p?expiry=", "empty"),
        ("dynamodb://p?table=x", "unknown"),
    ],
)
def test_a_bad_url_is_told(url: str, says: str) -> None:
    """Each mistake has a sentence, from both functions."""
    for call in (lambda: open_store(url, system_clock, "us-east-1"), lambda: open_tables(url, "us-east-1")):
        with pytest.raises(StoreUrlError, match=says):
            call()


@pytest.mark.parametrize("region", [None, ""])
def test_a_missing_region_is_told(region: str | None) -> None:
    """boto3 ignores AWS_REGION, so it must be handed on."""
    with pytest.raises(StoreUrlError, match="set AWS_REGION"):
        open_store("dynamodb://", system_clock, region)


@pytest.mark.parametrize("folder", ["taken", "taken/below"])
def test_a_folder_that_cannot_be_used_is_told_with_its_remedy(tmp_path: Path, folder: str) -> None:
    """Which file, why, and what to do; no number of an error."""
    (tmp_path / "taken").write_text("a file", encoding="ascii")
    with pytest.raises(
        StoreUnavailable, match=r"neither made nor opened .*: let its folder be one .*ICHIDAI_DATA_DIR"
    ) as told:
        open_store(f"sqlite:///{tmp_path / folder / 'ichidai.sqlite'}", system_clock)
    assert str(tmp_path / folder / "ichidai.sqlite") in str(told.value)
    assert "Errno" not in str(told.value)


def test_only_the_chosen_engine_is_imported(tmp_path: Path) -> None:
    """SQLite needs no boto3, which takes a good part of a second to import; opening DynamoDB asks nobody anything."""
    for url, absent in (
        (f"sqlite:///{tmp_path}/a.db", "boto3"),
        ("dynamodb://p?endpoint=http://127.0.0.1:9", "common.storage.sqlite.store"),
    ):
        program = (
            "import sys; from common.clock import system_clock; from common.storage.opening import open_store; "
            f"open_store({url!r}, system_clock, 'eu-west-1').close(); sys.exit({absent!r} in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
