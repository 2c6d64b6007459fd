"""Serving an app with granian: checked before it starts, so that every fault is one clear sentence."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import partial

from common.config import SettingsError
from common.keys.keyring import KeyRingError
from common.keys.sealed_files import opened_keys
from common.storage.opening import StoreUrlError
from common.storage.port import StoreUnavailable
from device_manager.publishing import Publisher
from ichidai.process_log import LogFormat, configure_logging
from ichidai.server.checks import CannotServe, check_apart, check_folder, ip_of, unreachable, wait_for_port
from ichidai.server.event_process import serve_events, streams_beside
from ichidai.server.metrics_pipe import MetricsCollector
from ichidai.server.readiness import say_when_answering
from ichidai.server.supervisor import Supervisor
from ichidai.server.worker import STOP_SECONDS, run_worker
from ichidai.server_settings import ServerSettings
from ichidai.settings import read_settings, read_test_overrides
from ichidai.topology import DEV_PORTS, WITH_STREAMS, App
from ichidai.wiring.build import build, events_port_of
from registration.email_sender import topic_fault

_NOTIFYING = (App.ALL, App.REGISTRATION, App.DEVICE)
_print = partial(print, flush=True)
_log = logging.getLogger(__name__)


def serve(
    serving: App,
    host: str,
    port: int | None,
    workers: int,
    events_port: int | None = None,
    say: Callable[[str], None] = _print,
) -> None:
    """Serve until the process is told to stop. Raises CannotServe.

    The settings come from the environment. Store and keys are opened once here, before any worker is started. Event
    streams are served beside the app by a process of their own; `events_port` None is where the settings say.
    """
    if os.name == "nt" and workers > 1:
        raise CannotServe("On Windows the server runs with one worker: leave --workers at 1.")
    if serving is App.EVENTS and workers > 1:
        raise CannotServe(
            "Event streams are served by one process: leave --workers at 1, or start it on several ports."
        )
    if events_port is not None:
        os.environ["ICHIDAI_EVENTS_PORT"] = str(events_port)
    host = ip_of(host)
    say = _log.info if os.environ.get("ICHIDAI_LOG") == LogFormat.JSON else say
    port, events, publisher = _checked(serving, host, port)
    server_settings = read_settings(os.environ).server
    collector = MetricsCollector() if server_settings.metrics_port else None
    if serving is App.EVENTS:
        _show_metrics(server_settings, collector)
        say_when_answering(_answers(serving, host, port), host, port, say)
        serve_events(host, port, App.ALL, DEV_PORTS[App.ALL])
        return
    os.environ["PORT"] = str(port)
    if serving in WITH_STREAMS:
        os.environ["ICHIDAI_EVENTS_PORT"] = str(events or "off")
    run = partial(run_worker, serving, opened_keys())
    supervisor = Supervisor(run, server_settings.drain_seconds + STOP_SECONDS, collector)
    supervisor.start(host, port, workers)
    with streams_beside(host, events, serving, port, collector):
        _show_metrics(server_settings, collector)
        if publisher is not None:
            publish = partial(publisher.run, threading.Event())
            threading.Thread(target=publish, name="publish", daemon=True).start()
        say_when_answering(_answers(serving, host, port, events), host, port, say)
        supervisor.keep()


def _show_metrics(settings: ServerSettings, collector: MetricsCollector | None) -> None:
    """Answer on the port of the metrics, where there is one: not before the first processes were forked."""
    if collector is None:
        return
    from ichidai.server.metrics_endpoint import serve_metrics  # noqa: PLC0415 - most servers do without

    collector.start()
    serve_metrics(ip_of(settings.metrics_host), settings.metrics_port, collector)


def _check_metrics_port(settings: ServerSettings, *taken: int) -> None:
    """Check that metrics can be shown where they are to be. Raises CannotServe."""
    port = settings.metrics_port
    if port and port in taken:
        raise CannotServe(f"Port {port} is another's already: set ICHIDAI_METRICS_PORT to a free one.")
    if port:
        wait_for_port(ip_of(settings.metrics_host), port, "ICHIDAI_METRICS_PORT")


def _answers(serving: App, host: str, port: int, events: int = 0) -> str:
    streams = f", event streams on port {events}" if events else ""
    shown = f"[{host}]" if ":" in host else host
    return f"Ichidai {serving} answers on http://{shown}:{port}{streams}  (Ctrl-C ends it)"


def _checked(serving: App, host: str, port: int | None) -> tuple[int, int, Publisher | None]:
    """Open everything once, before any worker is started. Raises CannotServe.

    Returns the port, that of the event streams beside it (0: none), and what this part has to publish.
    """
    try:
        settings = read_settings(os.environ)
        configure_logging(settings.server.log)
        clock = read_test_overrides(os.environ).clock
        port = port or settings.port or DEV_PORTS[serving]
        events = events_port_of(settings, serving, port)
        check_apart(port, events)
        check_folder(settings.keys_dir)
        wait_for_port(host, port, "--port")
        if events:
            wait_for_port(host, events, "--events-port or ICHIDAI_EVENTS_PORT")
        _check_metrics_port(settings.server, port, events)
        suite = build(settings, serving, port, clock=clock)
        suite.close()
        aws = settings.registration
        notices = topic_fault(aws.sns_topic_arn, aws.aws_region) if serving in _NOTIFYING else None
        for warning in filter(None, (unreachable(host, suite.addresses), notices)):
            _log.warning(warning)
    except (SettingsError, KeyRingError, StoreUrlError) as error:
        raise CannotServe(str(error)) from error
    except (StoreUnavailable, OSError) as error:
        raise CannotServe(f"The store cannot be opened: {error}") from error
    return port, events, suite.publisher if serving in (App.ALL, App.DEVICE) else None
