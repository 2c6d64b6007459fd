"""The app of the event streams: the one that is served by ASGI, in a process of its own that alone imports this."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.applications import Starlette

from ichidai.settings import read_settings, read_test_overrides
from ichidai.topology import App
from ichidai.wiring.build import build
from session_manager.event_hub import Hub
from session_manager.event_routes import EventHttpContext, event_app
from session_manager.event_watch import Watch


def event_app_from(environment: Mapping[str, str], beside: App, app_port: int) -> tuple[Starlette, Watch]:
    """Return the app of the event streams, and its watch, with the settings of an environment.

    `beside` and `app_port`: which app these streams belong to, and where it runs. Raises SettingsError and what
    `build` raises.
    """
    settings, overrides = read_settings(environment), read_test_overrides(environment)
    suite = build(settings, beside, app_port, clock=overrides.clock, announces=False)
    suite.watch_store()
    suite.background.start()
    watch = Watch(suite.events, Hub(settings.session.streams))
    where = suite.addresses
    context = EventHttpContext(
        where.bases[App.SESSION],
        where.events_url,
        (*where.origins, *settings.cors_origins),
        settings.trusted_proxies,
        suite.is_ready,
        certificates=suite.context.certificates,
    )
    return event_app(watch, context), watch
