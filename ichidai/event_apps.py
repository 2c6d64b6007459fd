"""The app of the event streams: the one that is served by ASGI, in a process of its own that alone imports this."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.applications import Starlette

from ichidai.apps import clock_of
from ichidai.settings import read_settings, read_trials
from ichidai.topology import Part, origins_of
from ichidai.wiring import build
from session_manager.event_hub import Hub
from session_manager.event_routes import EventEdge, event_app
from session_manager.event_watch import Watch


def event_app_from(environment: Mapping[str, str], app_port: int) -> tuple[Starlette, Watch]:
    """Return the app of the event streams, and its watch, with the settings of an environment.

    `app_port`: where the app runs whose pages may call it. Raises SettingsError and what `build` raises.
    """
    settings, trials = read_settings(environment), read_trials(environment)
    suite = build(settings, Part.EVENTS, app_port, clock=clock_of(trials))
    suite.watch_keys()
    watch = Watch(suite.events, Hub(settings.session.streams))
    origins = (*origins_of(settings.public_url, app_port), *settings.cors_origins)
    edge = EventEdge(
        suite.addresses.issuer,
        suite.addresses.events_url,
        origins,
        settings.trusted_proxies,
        suite.is_ready,
        certificates=suite.edge.certificates,
    )
    return event_app(watch, edge), watch
