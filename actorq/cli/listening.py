"""Where a coordinator may listen, and with which key."""

from __future__ import annotations

from collections.abc import Sequence

import click

from actorq.cli.options import is_insecure, key_path
from actorq.config import DEFAULT_ADDRESS, CoordinatorSettings
from actorq.policies.addresses import check_listening, is_loopback
from actorq.transport.addresses import check_to_listen

MEMORY_NOTICE = (
    "In memory only: accepted calls are lost if the coordinator dies; clients that wait for results send them again."
)

data_option = click.option(
    "--data",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Keep a journal in this directory, so that accepted calls survive the coordinator. Default: in memory only.",
)
transient_option = click.option(
    "--transient",
    metavar="QUEUE",
    multiple=True,
    help="With --data: do not journal the calls of this queue; they stay their clients' own. May be repeated.",
)
listen_option = click.option(
    "--listen",
    metavar="ADDRESS",
    default=DEFAULT_ADDRESS,
    show_default=True,
    help="Where workers and clients connect: tcp://HOST:PORT or ipc://PATH.",
)

result_expires_option = click.option(
    "--result-expires",
    "result_expires_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=CoordinatorSettings().outcome_age_s,
    show_default=True,
    help="How long results are kept for those who ask for them by id.",
)


def tell_where_calls_are(data: str | None, transient: Sequence[str]) -> None:
    """Say whether calls outlive the coordinator. Raises UsageError for queues that are excepted from nothing."""
    if data is None:
        if transient:
            raise click.UsageError("--transient goes with --data: without a journal all queues are transient")
        click.echo(MEMORY_NOTICE, err=True)
    else:
        but = f", but for the queues {', '.join(transient)}" if transient else ""
        click.echo(f"Accepted calls are kept in {data}{but}.", err=True)


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
