"""What the benchmarks reckon with: rounds, spreads, the load's script, the copies of an account, the charts."""

from __future__ import annotations

import sqlite3
import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks import load, population
from benchmarks.bench import Bench
from benchmarks.chapters import proofs
from benchmarks.chart import Bar, Chart
from benchmarks.load import Ask, NoLoadGenerator, require_wrk
from benchmarks.measuring import Sample, Spread, interleaved
from ichidai.apps import app_for
from ichidai.settings import read_settings
from ichidai.topology import App
from ichidai.wiring.build import build


def test_every_case_runs_once_a_round_and_the_first_round_does_not_count() -> None:
    """The cases take turns; what warming up gave is in no median."""
    order: list[str] = []

    def case(name: str) -> Callable[[], Sample]:
        def run() -> Sample:
            order.append(name)
            return {"cpu": 1000.0 if len(order) <= 2 else float(len(order))}

        return run

    measured = interleaved({"a": case("a"), "b": case("b")}, 3, lambda _told: None)
    assert order == ["a", "b"] * 4
    assert measured["a"]["cpu"] == Spread(median=5, least=3, most=7)
    assert measured["b"]["cpu"].over(2) == Spread(median=3, least=2, most=4)


def test_a_spread_shows_its_range() -> None:
    """A median stands never alone."""
    assert Spread.of([3, 1, 2]).written(".1f") == "2.0 (1.0–3.0)"


def test_without_wrk_the_text_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured by a generator that shares the bottleneck."""
    monkeypatch.setattr(load.shutil, "which", lambda _name: None)
    with pytest.raises(NoLoadGenerator, match="apt-get install wrk"):
        require_wrk()


def test_the_script_quotes_what_it_is_given() -> None:
    """A header with a quote in it stays one header."""
    script = load._script([Ask("/a", "POST", {"X-Odd": 'b"c'}, '{"d": 1}'), Ask("/e")])
    assert '  add("POST", "/a", {["X-Odd"]="b\\"c"}, "{\\"d\\": 1}")\n  add("GET", "/e", {}, nil)' in script


def test_what_is_expected_is_counted_and_whoever_is_told_to_come_back_waits() -> None:
    """Only then does wrk look at each answer: 503 is counted apart, and any third status is an error."""
    assert "function response" not in load._script([Ask("/a")])
    script = load._script([Ask("/a")], 409)
    assert "if status == 409 then good" in script
    assert "elseif status == 503 then busy" in script
    assert "function delay()" in script


def test_a_chart_is_a_picture_with_a_bar_for_each_case() -> None:
    """It is well-formed, and the longest bar fits."""
    chart = Chart(
        "x.svg", "Cost & more", "Shorter is better.", [Bar("ours", 0.4, ours=True), Bar("theirs", 12.3)], unit=1
    )
    picture = ET.fromstring(chart.svg())  # noqa: S314 - our own
    bars = picture.findall("{http://www.w3.org/2000/svg}rect")
    assert [bar.get("class") for bar in bars] == ["ours", "other"]
    assert float(bars[1].get("x", "0")) + float(bars[1].get("width", "0")) < 760
    assert "Cost & more" in [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]


def test_copies_are_accounts_like_any_other(tmp_path: Path) -> None:
    """A copy's token is good, its device can log in, its list is its own, and all have ids of their own."""
    settings = {"ICHIDAI_DATA_DIR": str(tmp_path / "data"), "MAX_CONCURRENT_DEVICES": "2"}
    loaded = population.load(settings, accounts=4, devices=2)
    assert len({person.user_uuid for person in loaded.people}) == 3
    client = app_for(App.ALL, build(read_settings(settings), App.ALL, 8000)).test_client()
    person, token = loaded.people[0], loaded.tokens(1)[0]
    own = client.get("/session/list", headers={"Authorization": f"Bearer {token}"}).get_json()
    assert len(own["sessions"]) == 2
    form = {"username": person.username, "password": population.PASSWORD, "client_cert_fp": person.fingerprints[1]}
    assert client.post("/login", json=form).get_json()["user_uuid"] == person.user_uuid
    with closing(sqlite3.connect(tmp_path / "data" / "ichidai.sqlite")) as connection:
        counts = [
            connection.execute(f'SELECT count(DISTINCT sort) FROM "{table}"').fetchone()  # noqa: S608 - names of ours
            for table in ("DevicesTable", "DeviceKeysTable")
        ]
    assert counts == [(8,), (8,)]


def test_the_chapter_of_proofs_measures_each_operation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once and against one unit; a signature and a certificate are as long as their standards say."""
    monkeypatch.setattr(proofs, "_SHARE_SECONDS", 0.001)
    bench = Bench(tmp_path, 1, 0, long=False, peers=False, begin=lambda _what, _steps: None, step=lambda _what: None)
    found = proofs.measure(bench)
    sizes = {row[0]: row[3] for row in found.rows}
    assert found.rows[0][1].startswith("1.000")
    assert (sizes["ml-dsa-87: statement signed"], sizes["p-256: statement signed"]) == ("4,627", "64")
    assert all(float(row[2].split()[0].replace(",", "")) >= 0 for row in found.rows if row[2])
    assert int(sizes["refresh token"]) > 100
