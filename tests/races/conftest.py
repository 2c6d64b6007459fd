"""The engines that the races are run on."""

from __future__ import annotations

import pytest

from tests.support.engines import ENGINES, Engine


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Return each engine in turn."""
    return ENGINES[request.param](tmp_path_factory.mktemp("race"))
