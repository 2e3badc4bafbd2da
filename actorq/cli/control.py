"""``actorq control``: commands to nodes."""

from __future__ import annotations

from typing import Any, NamedTuple

import click

from actorq.cli.connection import connected, mesh_options
from actorq.cli.options import destination_option, json_option, timeout_option
from actorq.cli.problems import FAILED
from actorq.cli.replies import show_replies
from actorq.errors import nearest


class Order(NamedTuple):
    """What ``actorq control`` can have done."""

    text: str
    takes: str = ""
    """What is to be named after it; one that ends with … may be named several times."""
    keywords: tuple[str, ...] = ()
    """The arguments that those become, in the message to nodes."""
    whole_mesh: str = ""
    """Why it takes no destination; empty: it takes one."""

    def has_all(self, names: tuple[str, ...]) -> bool:
        """Whether as many are named as it takes."""
        return bool(names) if self.takes.endswith("…") else len(names) == len(self.takes.split())

    def arguments(self, names: tuple[str, ...]) -> dict[str, Any]:
        """The names, as nodes take them."""
        values = [list(names)] if self.takes.endswith("…") else names
        return dict(zip(self.keywords, values, strict=True))


FINDS_CALLS = "the coordinator knows where the calls are"
ORDERS = {
    "ping": Order("See who answers."),
    "revoke": Order(
        "calls that have not started never will; with --terminate, running ones end.", "ID…", ("ids",), FINDS_CALLS
    ),
    "terminate": Order("the same as revoke --terminate.", "ID…", ("ids",), FINDS_CALLS),
    "cancel": Order(
        "calls end with all of their workflows, and with what their tasks have submitted.", "ID…", ("ids",), FINDS_CALLS
    ),
    "drain-coordinator": Order(
        "it hands its calls to another coordinator, and ends. 'actorq inspect coordinator' shows the names.",
        "NAME…",
        ("destination",),
        "it takes the names or addresses of coordinators",
    ),
    "rate-limit": Order(
        "from now on, such as 10/s, 10/m, 10/h; 0: no limit.",
        "TASK RATE",
        ("task_name", "rate_limit"),
        "it holds for the whole mesh",
    ),
    "add-consumer": Order("workers take calls of it, until they end.", "QUEUE", ("queue",)),
    "cancel-consumer": Order("workers take no more calls of it.", "QUEUE", ("queue",)),
    "shutdown": Order("Workers finish what runs, give back the rest, and end."),
}


def help_of(name: str, order: Order) -> str:
    """Its line in the help."""
    return f"  {name:<19}{order.takes}{': ' if order.takes else ''}{order.text}"


@click.command(epilog="\b\nCommands:\n" + "\n".join(help_of(*each) for each in ORDERS.items()))
@click.argument("name", metavar="COMMAND")
@click.argument("names", metavar="[ID, NAME or RATE]...", nargs=-1)
@mesh_options
@click.option("--terminate", is_flag=True, help="With revoke: end calls that run, too.")
@destination_option
@timeout_option(1.0, "For how long to wait for answers.")
@json_option
def command(
    name: str,
    names: tuple[str, ...],
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
      actorq control cancel 3f6e0c1a-1
      actorq control shutdown -d worker-1@host
      actorq control rate-limit proj.tasks.send_mail 100/m
      actorq control add-consumer feeds -d worker-1@host
      actorq control drain-coordinator tcp://10.0.0.5:5570
    """
    name = name.replace("_", "-")  # As Celery spells them.
    order = checked(name, names, terminate, destination)
    arguments = order.arguments(names)
    destination = arguments.pop("destination", destination)
    if name == "terminate":
        name, terminate = "revoke", True
    if name == "revoke":
        arguments["terminate"] = terminate
    with connected(app, url) as mesh:
        if name == "cancel":
            replies = mesh.control.cancel(names, timeout_s)
        else:
            replies = mesh.control.broadcast(name.replace("-", "_"), arguments, destination, timeout_s)
        show_replies(replies, as_json, timeout_s)
        if replies and all(isinstance(each, dict) and "error" in each for each in replies.values()):
            raise SystemExit(FAILED)  # Refused by all who answered.


def checked(name: str, names: tuple[str, ...], terminate: bool, destination: list[str]) -> Order:
    """The order of this name. Raises UsageError where there is none, or what comes with it does not fit."""
    order = ORDERS.get(name)
    if order is None:
        raise click.UsageError(f"there is no {name!r}: {nearest(name, ORDERS) or 'known are ' + ', '.join(ORDERS)}")
    if not order.has_all(names):
        if order.takes:
            raise click.UsageError(f"{name} takes {order.takes}. actorq control {name} {order.takes}: {order.text}")
        raise click.UsageError(f"{name} takes no names. For some nodes only, use --destination {','.join(names)}")
    if order.whole_mesh and destination:
        raise click.UsageError(f"{name} takes no --destination: {order.whole_mesh}")
    if terminate and name != "revoke":
        raise click.UsageError(f"--terminate belongs to revoke, not to {name}")
    return order
