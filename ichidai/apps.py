"""The apps: each domain's own, and the combined one. Functions without arguments are what the server's workers call."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from importlib.metadata import version
from wsgiref.util import setup_testing_defaults

from flask import Flask

from common.clock import Clock, system_clock
from common.crypto.passwords import CHEAP_FOR_TESTS, OWASP_MINIMUM
from common.web.factory import AppParts, make_app
from ichidai.console.pages import page_blueprint
from ichidai.orphans import end_with_parent
from ichidai.settings import Trials, read_settings, read_trials
from ichidai.topology import DEV_PORTS, DOMAINS, Part
from ichidai.wiring import Suite, build
from session_manager.front import Front, WsgiApp

PASSWORD_PLACES = 3
"""Requests of a worker that may be busy with passwords while others ask: one fewer than it has threads (`serving`)."""

_log = logging.getLogger(__name__)


def app_for(serving: Part, suite: Suite) -> Flask:
    """Return the app that serves one domain, or all of them, of a joined suite."""
    domains = DOMAINS if serving is Part.ALL else (serving,)
    parts = AppParts(
        title="Ichidai" if serving is Part.ALL else f"Ichidai {serving}",
        version=version("ichidai"),
        base_url=suite.addresses.issuer,
        cors_origins=suite.settings.cors_origins,
        is_ready=suite.is_ready,
    )
    rooms = {str(domain): suite.endpoints(domain) for domain in domains}
    return make_app(parts, rooms, suite.edge, pages=[page_blueprint(serving, suite.addresses)])


def fronted(app: Flask, suite: Suite) -> WsgiApp:
    """Return an app that serves sessions with what answers good verifications and refreshes in front of it."""
    environ: dict[str, object] = {"PATH_INFO": "/health"}
    setup_testing_defaults(environ)
    with app.request_context(environ):
        everywhere = app.full_dispatch_request().headers
    headers = {name: value for name, value in everywhere.items() if name not in ("Content-Type", "Content-Length")}
    return Front(app, suite.edge.authenticator, suite.refresh, headers, suite.edge.certificates)


def app_from(environment: Mapping[str, str], serving: Part) -> WsgiApp:
    """Return an app with the settings of an environment. Raises SettingsError and what `build` raises."""
    settings, trials = read_settings(environment), read_trials(environment)
    if trials.cheap_hash:
        _log.warning("ICHIDAI_TEST_CHEAP_HASH is on: passwords are hashed at no cost. For tests alone.")
    cost = CHEAP_FOR_TESTS if trials.cheap_hash else OWASP_MINIMUM
    port = settings.port or DEV_PORTS[serving]
    places = None if trials.cheap_hash else PASSWORD_PLACES
    suite = build(settings, serving, port, clock=clock_of(trials), cost=cost, places=places)
    suite.watch_keys()
    app = app_for(serving, suite)
    return fronted(app, suite) if serving in (Part.ALL, Part.SESSION) else app


def clock_of(trials: Trials) -> Clock:
    """Return the system's clock; a test may have set this process' clock apart."""
    return (lambda: system_clock() + trials.clock_offset) if trials.clock_offset else system_clock


def combined() -> WsgiApp:
    """Return the combined app for a worker."""
    return _for_worker(Part.ALL)


def registration() -> WsgiApp:
    """Return the registration app for a worker."""
    return _for_worker(Part.REGISTRATION)


def login() -> WsgiApp:
    """Return the login app for a worker."""
    return _for_worker(Part.LOGIN)


def session() -> WsgiApp:
    """Return the session manager's app for a worker."""
    return _for_worker(Part.SESSION)


def device() -> WsgiApp:
    """Return the device manager's app for a worker."""
    return _for_worker(Part.DEVICE)


def _for_worker(serving: Part) -> WsgiApp:
    end_with_parent()
    return app_from(os.environ, serving)
