"""Where a coordinator may listen."""

from __future__ import annotations

import click

from actorq.cli.problems import MISCONFIGURED, Problem
from actorq.config import DEFAULT_ADDRESS
from actorq.policies.addresses import is_loopback
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
insecure_option = click.option(
    "--insecure",
    is_flag=True,
    help="Listen on other addresses than loopback, although nothing is encrypted and nobody is asked for a key.",
)


def check_exposure(address: str, insecure: bool) -> None:
    """Raise Problem if others than this host could connect and nobody said that this is meant. Warn if it is.

    Raises BadAddress for what is none.
    """
    if not address.startswith("ipc://"):
        check_to_listen(address)
    if is_loopback(address):
        return
    if not insecure:
        raise Problem(
            f"{address} can be reached from other hosts, and whoever reaches it can run code on the workers. Listen on "
            f"loopback ({DEFAULT_ADDRESS}), or add --insecure in a network that you trust entirely. Keys come with a "
            f"later release",
            MISCONFIGURED,
        )
    click.echo(f"--insecure: whoever reaches {address} can run code on the workers; nothing is encrypted.", err=True)
