"""`ichidai event-key`: a key by which a machine asks for security events."""

from __future__ import annotations

import click

from common.ids import new_secret
from session_manager.event_receivers import digest_of


@click.command("event-key")
@click.argument("name")
def app(name: str) -> None:
    """Make a key for the receiver NAME, and print it with what ICHIDAI_EVENT_RECEIVERS says of it. It is kept nowhere.

    To change a key, join the new digest to the old one by +; leave the old one out once the machine has the new key.
    """
    key = new_secret()
    click.echo(f"key:     {key}")
    click.echo(f"setting: {name}=poll:{digest_of(key)}")
