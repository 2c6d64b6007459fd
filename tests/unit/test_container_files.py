"""The files of `deploy/docker`, as far as they can be judged without a builder."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from ichidai.cli.commands import app
from ichidai.settings import read_settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "docker"


def test_the_image_runs_what_there_is_without_root() -> None:
    """Its command is one of ours, its settings are read, and its user is nobody who may do more."""
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    command = json.loads(re.findall(r"^CMD (.*)$", text, re.MULTILINE)[-1])
    assert app.commands[command[0]].make_context("serve", command[1:]).params["workers"] == 2
    settings = dict(re.findall(r"(ICHIDAI_\w+)=(\S+)", re.findall(r"^ENV (.*)$", text, re.MULTILINE)[0]))
    assert read_settings(settings).server.metrics_host == "0.0.0.0"  # noqa: S104 - of a container
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001"]
    assert text.index("USER") > text.rindex("RUN")
    groups, users = re.findall(r"groupadd (.*?)&&", text), re.findall(r"useradd (.*?)&&", text)
    assert ["--gid 10001" in each for each in (*groups, *users)] == [True, True]  # as compose.yaml has it


def test_the_image_is_made_of_what_there_is() -> None:
    """What is copied is here, and not left out; what is installed is what the project asks for, held to hashes."""
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    left_out = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    (lock,) = re.findall(r"--require-hashes -r (\S+)", text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    for needed in (
        lock,
        "pyproject.toml",
        project["project"]["readme"],
        *project["project"]["license-files"],
        *packages,
    ):
        assert (ROOT / needed).exists(), needed
        assert needed not in left_out
    locked = re.findall(
        r"^([a-z0-9-]+)==\S+ .*\\\n +--hash=sha256:", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE
    )
    asked = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["server"]
    assert {re.split(r"[^a-z0-9-]", each.lower())[0] for each in asked} <= set(locked)
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    assert copied == [[lock], ["."]]
    stages = dict(re.findall(r"^FROM (\S+)(?: AS (\w+))?$", text, re.MULTILINE))
    assert len(stages) == 1, "what is built by one Python is run by the same"
    python = re.fullmatch(r"python:(3\.\d+)-slim", next(iter(stages)))
    assert python
    assert f"Programming Language :: Python :: {python[1]}" in project["project"]["classifiers"]


def test_the_services_cannot_write_but_where_data_lies() -> None:
    """A root that is read-only, no capability, no new privileges; settings that there are."""
    whole: Any = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    services, configs = whole["services"], whole["configs"]
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert all(configs[config["source"]].keys() == {"file"} for config in service.get("configs", ()))
    ours = services["ichidai"]
    assert ours["user"].startswith("10001:")
    assert read_settings(ours["environment"]).server.metrics_port == 9100
    build = ours["build"]
    assert (FOLDER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]) == FOLDER / "Dockerfile"


def test_prometheus_asks_the_suite_by_the_rules_that_are_handed_out() -> None:
    """By the name and the port that it has among the services; what is mounted is what the file names."""
    whole: Any = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    files = {name: (FOLDER / config["file"]).resolve() for name, config in whole["configs"].items()}
    mounted = {each["target"]: files[each["source"]] for each in whole["services"]["prometheus"]["configs"]}
    asks: Any = yaml.safe_load(mounted["/etc/prometheus/prometheus.yml"].read_text(encoding="utf-8"))
    assert [str(ROOT / "deploy" / "prometheus" / name) for name in asks["rule_files"]] == [
        str(mounted[f"/etc/prometheus/{name}"]) for name in asks["rule_files"]
    ]
    port = whole["services"]["ichidai"]["environment"]["ICHIDAI_METRICS_PORT"]
    assert asks["scrape_configs"][0]["static_configs"] == [{"targets": [f"ichidai:{port}"]}]
