"""``actorq control``: commands to nodes."""

from __future__ import annotations

from typing import Any

import click

from actorq.cli.connection import connected, mesh_options
from actorq.cli.options import destination_option, json_option, timeout_option
from actorq.cli.replies import show_replies
from actorq.errors import nearest

ORDERS = {
    "ping": "See who answers.",
    "revoke": "ID…: calls that have not started never will; with --terminate, running ones end.",
    "terminate": "ID…: the same as revoke --terminate.",
    "drain-coordinator": "NAME or ADDRESS: it hands its calls to another coordinator, and ends.",
    "rate-limit": "TASK RATE: from now on, such as 10/s, 10/m, 10/h; 0: no limit.",
    "add-consumer": "QUEUE: workers take calls of it, until they end.",
    "cancel-consumer": "QUEUE: workers take no more calls of it.",
    "shutdown": "Workers finish what runs, give back the rest, and end.",
}
DRAIN = "drain-coordinator"
OF_QUEUES = frozenset({"add-consumer", "cancel-consumer"})
RATE_LIMIT = "rate-limit"
OF_CALLS = frozenset({"revoke", "terminate"})
"""These are about calls, which the coordinator finds wherever they are, so they take ids and no destination."""


@click.command(epilog="\b\nCommands:\n" + "\n".join(f"  {name:<19}{text}" for name, text in ORDERS.items()))
@click.argument("order", metavar="COMMAND")
@click.argument("ids", metavar="[ID, NAME or RATE]...", nargs=-1)
@mesh_options
@click.option("--terminate", is_flag=True, help="With revoke: end calls that run, too.")
@destination_option
@timeout_option(1.0, "For how long to wait for answers.")
@json_option
def command(
    order: str,
    ids: tuple[str, ...],
    app: str | None,
    url: str | None,
    terminate: bool,
    destination: list[str],
    timeout_s: float,
    as_json: bool,
) -> None:
    """Have nodes do something. The exit status is 69 if none answers, 1 if all refuse.

    \b
    Examples:
      actorq control revoke 3f6e0c1a-1 3f6e0c1a-2
      actorq control revoke 3f6e0c1a-1 --terminate
      actorq control shutdown -d worker-1@host
      actorq control rate-limit proj.tasks.send_mail 100/m
      actorq control add-consumer feeds -d worker-1@host
      actorq control drain-coordinator tcp://10.0.0.5:5570
    """
    check(order, ids, terminate, destination)
    arguments: dict[str, Any] = {}
    if order in OF_CALLS:
        arguments = {"ids": list(ids), "terminate": terminate or order == "terminate"}
    if order in OF_QUEUES:
        arguments = {"queue": ids[0]}
    if order == RATE_LIMIT:
        arguments = {"task_name": ids[0], "rate_limit": ids[1]}
    if order == DRAIN:
        destination = list(ids)
    with connected(app, url) as mesh:
        broadcast = "revoke" if order in OF_CALLS else order.replace("-", "_")
        replies = mesh.control.broadcast(broadcast, arguments, destination, timeout_s)
        show_replies(replies, as_json, timeout_s)
        if replies and all(isinstance(each, dict) and "error" in each for each in replies.values()):
            raise SystemExit(1)  # Refused by all who answered.


def check(order: str, ids: tuple[str, ...], terminate: bool, destination: list[str]) -> None:
    """Raise UsageError where command and options do not fit."""
    if order not in ORDERS:
        raise click.UsageError(f"there is no {order!r}: {nearest(order, ORDERS) or 'known are ' + ', '.join(ORDERS)}")
    if order in OF_CALLS and not ids:
        raise click.UsageError(f"{order} needs the ids of calls: actorq control {order} ID")
    if order in OF_CALLS and destination:
        raise click.UsageError(f"{order} takes no --destination: the coordinator knows where the calls are")
    if order == DRAIN and not ids:
        raise click.UsageError(f"{DRAIN} needs the name of a coordinator; 'actorq inspect coordinator' shows them")
    if order == DRAIN and destination:
        raise click.UsageError(f"{DRAIN} takes names, and no --destination: actorq control {DRAIN} {destination[0]}")
    if order in OF_QUEUES and len(ids) != 1:
        raise click.UsageError(f"{order} needs the name of one queue: actorq control {order} QUEUE")
    if order == RATE_LIMIT and len(ids) != 2:
        raise click.UsageError(
            f"{RATE_LIMIT} needs the name of a task and its rate: actorq control {RATE_LIMIT} TASK 10/s"
        )
    if order == RATE_LIMIT and destination:
        raise click.UsageError(f"{RATE_LIMIT} takes no --destination: it holds for the whole mesh")
    if order not in OF_CALLS | OF_QUEUES | {DRAIN, RATE_LIMIT} and ids:
        raise click.UsageError(f"{order} takes no ids. For some nodes only, use --destination {','.join(ids)}")
    if order != "revoke" and terminate:
        raise click.UsageError(f"--terminate belongs to revoke, not to {order}")
