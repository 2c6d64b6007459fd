"""The files of `deploy/docker`, as far as they can be judged without a builder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from ichidai.cli.commands import app
from ichidai.settings import read_settings

FOLDER = Path(__file__).parents[2] / "deploy" / "docker"


def test_the_image_runs_what_there_is_without_root() -> None:
    """Its command is one of ours, its settings are read, and its user is nobody who may do more."""
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    command = json.loads(re.findall(r"^CMD (.*)$", text, re.MULTILINE)[-1])
    assert app.commands[command[0]].make_context("serve", command[1:]).params["workers"] == 2
    settings = dict(re.findall(r"(ICHIDAI_\w+)=(\S+)", re.findall(r"^ENV (.*)$", text, re.MULTILINE)[0]))
    assert read_settings(settings).server.metrics_host == "0.0.0.0"  # noqa: S104 - of a container
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001"]
    assert text.index("USER") > text.rindex("RUN")


def test_the_services_cannot_write_but_where_data_lies() -> None:
    """A root that is read-only, no capability, no new privileges; settings that there are."""
    services: Any = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    ours = services["ichidai"]
    assert ours["user"].startswith("10001:")
    assert read_settings(ours["environment"]).server.metrics_port == 9100
