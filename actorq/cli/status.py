"""``actorq status``: who is there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import click

from actorq import native
from actorq.cli.connection import PATIENCE_S, connected, mesh_options
from actorq.cli.options import json_option, timeout_option
from actorq.cli.problems import UNAVAILABLE, Problem
from actorq.cli.replies import name_missing, no_answer, to_json
from actorq.errors import OperationalError

if TYPE_CHECKING:
    from actorq.app import ActorQ

REPLY_S = 1.0
READY_S = 30.0
LOOK_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Status:
    """What one look at the mesh found."""

    nodes: dict[str, Any]
    missing: list[str]
    coordinators: dict[str, Any]


@click.command()
@mesh_options
@timeout_option(
    None, f"For how long to wait for answers ({REPLY_S:g} s), with --wait-ready for workers ({READY_S:g} s)."
)
@click.option("--wait-ready", is_flag=True, help="Wait until a worker answers, or as many as --workers says.")
@click.option(
    "--workers",
    metavar="COUNT",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="With fewer that answer, the exit status is 69.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show what each worker does.")
@json_option
def command(
    app: str | None,
    url: str | None,
    timeout_s: float | None,
    wait_ready: bool,
    workers: int,
    verbose: bool,
    as_json: bool,
) -> None:
    """Show which workers answer. The exit status is 69 if none does, or fewer than --workers.

    \b
    Examples:
      actorq status
      actorq -u tcp://10.0.0.5:5570 status --verbose
      actorq status --wait-ready --workers 16 --timeout 60 && python submit.py
    """
    limit_s = timeout_s if timeout_s is not None else READY_S if wait_ready else REPLY_S
    reply_s = min(limit_s, REPLY_S) if wait_ready else limit_s
    with connected(app, url, min(limit_s, PATIENCE_S) if wait_ready else PATIENCE_S) as mesh:
        status = await_workers(mesh, workers, limit_s) if wait_ready else look(mesh, reply_s)
        show(status, reply_s, verbose, as_json)
    if len(status.nodes) < workers:
        raise Problem(f"{len(status.nodes)} of {workers} workers answered", UNAVAILABLE)


def look(mesh: ActorQ, reply_s: float) -> Status:
    """Ask the coordinator and all workers. Raises OperationalError if there is no coordinator."""
    inspect = mesh.control.inspect(timeout=reply_s)
    answers = inspect.ping()
    return Status(dict(sorted(answers.items())), answers.missing, dict(inspect.coordinator()))


def await_workers(mesh: ActorQ, count: int, timeout_s: float) -> Status:
    """Look until so many workers answer, or the time is over. Raises OperationalError if there is no coordinator in the end."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        left_s = deadline_s - time.monotonic()
        try:
            status = look(mesh, REPLY_S)
            if len(status.nodes) >= count or left_s <= 0:
                return status
        except (OperationalError, TimeoutError):
            if left_s <= 0:
                raise
        native.sleep(min(LOOK_AGAIN_S, max(left_s, 0.0)))


def show(status: Status, reply_s: float, verbose: bool, as_json: bool) -> None:
    """Print it. Raises Problem if no worker answered."""
    if as_json:
        click.echo(to_json({"nodes": status.nodes, "missing": status.missing, "coordinators": status.coordinators}))
    elif status.nodes:
        for node in status.nodes:
            click.echo(f"{node}: {click.style('OK', fg='green')}")
        click.echo(f"\n{len(status.nodes)} {'node' if len(status.nodes) == 1 else 'nodes'} online.")
        show_journals(status.coordinators)
        if verbose:
            show_workers(status.coordinators)
        show_limits(status.coordinators)
    else:
        show_waiting(status.coordinators)
        if verbose:
            show_journals(status.coordinators)
            show_workers(status.coordinators)
    if not status.nodes:
        raise no_answer(status.missing, reply_s)
    name_missing(status.missing, reply_s)


def show_waiting(coordinators: dict[str, Any]) -> None:
    """How many calls wait for workers, by queue."""
    for name, stats in coordinators.items():
        queues = [f"{count:,} in queue {queue!r}" for queue, count in sorted(stats["queues"].items()) if count]
        click.echo(f"{name}: " + (f"calls wait for a worker: {', '.join(queues)}" if queues else "no call waits"))


def show_journals(coordinators: dict[str, Any]) -> None:
    """Where calls are kept, and whether that goes well."""
    for name, stats in coordinators.items():
        if stats.get("durable"):
            lag = f"{stats['unwritten']:,} records are not written yet" if stats["unwritten"] else "all is written"
            click.echo(f"{name}: keeps calls in {stats['data_dir']}, {lag}")
        if stats.get("trouble"):
            click.echo(click.style(f"{name}: {stats['trouble']}", fg="red"), err=True)


def show_limits(coordinators: dict[str, Any]) -> None:
    """The limits that were reached since a coordinator has started."""
    for name, stats in coordinators.items():
        for limit, row in stats.get("limits", {}).items():
            if row["hits"]:
                times = "once" if row["hits"] == 1 else f"{row['hits']:,} times"
                click.echo(f"{name}: limit {limit} reached {times}, now {row['now']:,} of {row['limit']:,}")


def show_workers(coordinators: dict[str, Any]) -> None:
    """A table of what the coordinators know of their workers."""
    from rich.console import Console
    from rich.table import Table

    for name, stats in coordinators.items():
        waiting = sum(stats["queues"].values())
        title = f"{name}: {waiting:,} calls wait, {stats['settled']:,} settled, {stats['clients']} clients"
        table = Table(title=title, title_justify="left", title_style="", box=None)
        for heading in ("worker", "state", "running", "slots", "leases", "lag", "memory", "queues"):
            table.add_column(heading, justify="left" if heading in {"worker", "state", "queues"} else "right")
        for worker in sorted(stats["workers"], key=itemgetter("name")):
            table.add_row(
                worker["name"],
                worker["state"],
                str(worker["running"]),
                str(worker["slots"]),
                str(worker["leases"]),
                f"{worker['lag_s'] * 1000:.0f} ms",
                f"{worker['rss_bytes'] / 2**20:.0f} MiB",
                ", ".join(worker["queues"]),
            )
        Console().print("", table)
