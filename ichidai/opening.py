"""Opening a suite with the settings of an environment, for whatever serves or embeds it."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from common.crypto.passwords import CHEAP_FOR_TESTS, OWASP_MINIMUM
from ichidai.settings import read_settings, read_test_overrides
from ichidai.table_access import erases_accounts, sends_mails
from ichidai.topology import DEV_PORTS, App
from ichidai.wiring.build import build
from ichidai.wiring.services import Services

_log = logging.getLogger(__name__)


def opened(
    environment: Mapping[str, str],
    serving: App,
    max_password_requests: int | None = None,
    *,
    announces: bool = True,
) -> Services:
    """Open a suite: it learns of rotated keys and notes activity until it is closed.

    `max_password_requests`, `announces`: as `wiring.build` has them. Raises SettingsError and what `build` raises.
    """
    settings, trials = read_settings(environment), read_test_overrides(environment)
    if trials.cheap_hash:
        _log.warning("ICHIDAI_TEST_CHEAP_HASH is on: passwords are hashed at no cost. For tests alone.")
    cost = CHEAP_FOR_TESTS if trials.cheap_hash else OWASP_MINIMUM
    port = settings.port or DEV_PORTS[serving]
    max_password_requests = None if trials.cheap_hash else max_password_requests
    suite = build(
        settings,
        serving,
        port,
        clock=trials.clock,
        cost=cost,
        max_password_requests=max_password_requests,
        announces=announces,
    )
    suite.watch_store()
    suite.last_seen.start()
    suite.heartbeat.start()
    suite.background.start()
    if sends_mails(serving):
        suite.mail_queue.start()
    if serving in (App.ALL, App.SESSION):
        suite.event_pusher.start()
    if erases_accounts(serving):
        suite.erasing.start()
    return suite
