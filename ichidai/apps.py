"""The apps: each domain's own, and the combined one, as Flask apps that any WSGI server can run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from multiprocessing.util import Finalize
from wsgiref.util import setup_testing_defaults

from flask import Flask

from common.request_context import REQUEST_NAMES
from common.web.app import AppParts, make_app
from common.web.early_refusal import early_refusal
from common.web.request_log import FinishedRequest
from common.web.rsgi import Fast, RsgiApp
from common.web.wsgi_bridge import WsgiApp
from ichidai.admin.admission import own_address_only
from ichidai.admin.pages import admin_pages
from ichidai.console.pages import page_blueprint
from ichidai.opening import opened
from ichidai.topology import DOMAINS, App
from ichidai.tracing import tracer_for
from ichidai.version import installed_version
from ichidai.wiring.services import Services
from registration.config import RegistrationMode
from session_manager.fast_path import VERIFY_PATHS, FastPath, VerifyOnLoop
from session_manager.forward_auth import AnyMethod, is_verification

_REGISTERING = (App.ALL, App.REGISTRATION, App.DEVICE)
"""The apps that make keys for devices that bring none."""

_OF_ONE_ANSWER = ("Content-Type", "Content-Length", *REQUEST_NAMES)

MAX_PASSWORD_REQUESTS = 3
"""Requests of a worker that may be busy with passwords while others ask: one fewer than it has threads (`serving`)."""


def app_for(serving: App, suite: Services, trace: Callable[[FinishedRequest], None] | None = None) -> Flask:
    """Return the app that serves one domain, or all of them, of a joined suite. `trace` takes its finished requests."""
    if serving is App.ADMIN:
        return admin_app(suite, trace)
    domains = DOMAINS if serving is App.ALL else (serving,)
    parts = AppParts(
        title=_title(serving),
        version=installed_version(),
        base_url=suite.addresses.own,
        cors_origins=(*suite.addresses.origins, *suite.settings.cors_origins),
        is_ready=suite.is_ready,
        trace=trace,
    )
    endpoints_by_package = {str(domain): suite.endpoints(domain) for domain in domains}
    if App.SESSION not in domains:
        endpoints_by_package[str(serving)] = (*suite.endpoints(serving), suite.discovery)
    is_closed = suite.settings.registration.registration is RegistrationMode.CLOSED
    has_mail = suite.mail_queue.is_on
    shown = {"is_closed": is_closed, "has_mail": has_mail, "may_join": suite.settings.registration.join_by_approval}
    pages = [page_blueprint(serving, suite.addresses, suite.settings.brand, **shown)]
    app = make_app(parts, endpoints_by_package, suite.context, pages=pages)
    if App.SESSION in domains:
        app.wsgi_app = AnyMethod(app.wsgi_app)  # type: ignore[method-assign]
    return app


def _title(serving: App) -> str:
    """Return what an app is called, in its OpenAPI document and in the log."""
    return "Ichidai" if serving is App.ALL else f"Ichidai {serving}"


def admin_app(suite: Services, trace: Callable[[FinishedRequest], None] | None = None) -> Flask:
    """Return the app for operators: their routes and their page, at its own address alone."""
    own = suite.addresses.own
    parts = AppParts(_title(App.ADMIN), installed_version(), own, cors_origins=(), is_ready=suite.is_ready, trace=trace)
    app = make_app(parts, {"admin": suite.endpoints(App.ADMIN)}, suite.context, pages=[admin_pages()])
    app.before_request(own_address_only(own))
    return app


def with_fast_path(app: Flask, suite: Services) -> WsgiApp:
    """Return the WSGI side of an app that serves sessions, behind what answers good verifications."""
    return FastPath(app.wsgi_app, suite.context.authenticator, _headers_of(app), suite.context.certificates)


def on_loop(app: Flask, suite: Services) -> Mapping[str, Fast]:
    """Return what answers good verifications on an event loop, by path; nothing where the store is asked by network."""
    if suite.prompt_sessions is None:
        return {}
    verify = VerifyOnLoop(
        suite.prompt_sessions,
        suite.last_seen.touch,
        _headers_of(app),
        suite.context.certificates,
        suite.settings.server.bounds.head_bytes,
    )
    return dict.fromkeys(VERIFY_PATHS, verify)


def _headers_of(app: Flask) -> dict[str, str]:
    """Return the headers that an app adds to every answer."""
    environ: dict[str, object] = {"PATH_INFO": "/health"}
    setup_testing_defaults(environ)
    with app.request_context(environ):
        everywhere = app.full_dispatch_request().headers
    return {name: value for name, value in everywhere.items() if name not in _OF_ONE_ANSWER}


def app_from(environment: Mapping[str, str], serving: App) -> Flask:
    """Return an app with the settings of an environment. Raises SettingsError and what `build` raises."""
    app, suite = _joined(environment, serving, announces=True)
    Finalize(None, suite.close, exitpriority=0)  # the worker of another server ends without telling us
    return app


def rsgi_app(serving: App, threads: int) -> tuple[RsgiApp, Services]:
    """Return an app with the settings of this process' environment, for a worker of our own server; and its services.

    The worker closes the services; the process that started it has announced the settings to the store. `threads`: how
    many requests it answers at once, beside those that are answered on its event loop.
    """
    app, suite = _joined(os.environ, serving, announces=False)
    fast = on_loop(app, suite) if serving in (App.ALL, App.SESSION) else {}
    refuse = early_refusal(_title(serving), suite.addresses.own, suite.context.trusted_proxies)
    suite.readiness.watch()
    bounds = suite.settings.server.bounds
    return RsgiApp(app.wsgi_app, bounds, refuse, threads=threads, fast=fast, leaves_body=is_verification), suite


def _joined(environment: Mapping[str, str], serving: App, *, announces: bool) -> tuple[Flask, Services]:
    suite = opened(environment, serving, MAX_PASSWORD_REQUESTS, announces=announces)
    if serving in _REGISTERING:
        suite.key_pool.start()
    app = app_for(serving, suite, tracer_for(suite.settings.server.traces_endpoint, installed_version()))
    if serving in (App.ALL, App.SESSION):
        app.wsgi_app = with_fast_path(app, suite)  # type: ignore[assignment,method-assign]
    return app, suite


def create_app(serving: App = App.ALL) -> Flask:
    """Return an app with the settings of this process' environment, for any WSGI server."""
    return app_from(os.environ, serving)
