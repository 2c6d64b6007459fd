"""A suite of its own for each test; the keys are made once, because they take longest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.support.mail_server import serving_mail
from tests.usecases.in_process_suite import Device, HandClock, InProcessSuite, Person
from tests.usecases.post import Post

Build = Callable[..., InProcessSuite]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the keys of all suites."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that stands still."""
    return HandClock()


@pytest.fixture
def new_suite() -> Build:
    """Return what makes a suite: `InProcessSuite`, or the same over another engine (`tests/unkind`)."""
    return InProcessSuite


@pytest.fixture
def build_suite(new_suite: Build, tmp_path: Path, keys: Path, clock: HandClock) -> Iterator[Build]:
    """Return what builds a suite on the test's one file: with settings, and by default with the test's clock."""
    with ExitStack() as suites:

        def build(its_clock: HandClock = clock, **settings: str) -> InProcessSuite:
            return suites.enter_context(closing(new_suite(tmp_path, keys, its_clock, **settings)))

        yield build


@pytest.fixture
def suite(build_suite: Build) -> InProcessSuite:
    """Return a suite with the default settings: one device active, and the person is asked."""
    return build_suite()


@pytest.fixture
def anna(suite: InProcessSuite) -> Person:
    """Return a registered person."""
    return suite.register()


@pytest.fixture
def laptop(suite: InProcessSuite, anna: Person) -> Device:
    """Return her second device."""
    return suite.pair(anna, "Laptop")


@pytest.fixture
def build_post(build_suite: Build) -> Iterator[Callable[..., Post]]:
    """Return what builds a suite that sends mails."""
    with serving_mail() as (address, mailbox):
        yield lambda **settings: Post(build_suite(ICHIDAI_MAIL=address, **settings), mailbox)


@pytest.fixture
def post(build_post: Callable[..., Post]) -> Post:
    """Return a suite that sends mails, with the default settings."""
    return build_post()
