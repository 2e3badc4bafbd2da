"""Where a coordinator may listen, and with which key."""

from __future__ import annotations

import click

from actorq.cli.options import is_insecure, key_path
from actorq.config import DEFAULT_ADDRESS
from actorq.policies.addresses import check_listening, is_loopback
from actorq.transport.addresses import check_to_listen

MEMORY_NOTICE = (
    "In memory only: accepted calls are lost if the coordinator dies; clients that wait for results send them again."
)

listen_option = click.option(
    "--listen",
    metavar="ADDRESS",
    default=DEFAULT_ADDRESS,
    show_default=True,
    help="Where workers and clients connect: tcp://HOST:PORT or ipc://PATH.",
)


def check_exposure(address: str) -> None:
    """Raise ImproperlyConfigured if others than this host could connect, without a key, and nobody said that this is
    meant; say it aloud if it is.

    Raises BadAddress for what is none, and BadKey for a key file that cannot be used.
    """
    if not address.startswith("ipc://"):
        check_to_listen(address)
    key = key_path()
    check_listening(address, bool(key), is_insecure())
    if key:
        from actorq.keys import load_cluster_key

        load_cluster_key(key, "a coordinator")
    elif not is_loopback(address):
        click.echo(f"insecure: whoever reaches {address} can run code on the workers; nothing is encrypted.", err=True)
