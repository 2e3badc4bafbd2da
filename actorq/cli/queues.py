"""``actorq queues``: what waits in the queues of the mesh, and orders about them."""

from __future__ import annotations

from typing import Any

import click

from actorq.cli.connection import connected, mesh_options
from actorq.cli.options import json_option, timeout_option
from actorq.cli.replies import to_json
from actorq.errors import nearest

timeout = timeout_option(1.0, "For how long to wait for answers.")


@click.group(short_help="List, pause, resume and purge queues.")
def command() -> None:
    """See and change what becomes of the calls in queues.

    \b
    Examples:
      actorq queues list
      actorq queues pause feeds
      actorq queues purge feeds --force
    """


@command.command("list")
@mesh_options
@timeout
@json_option
def show(app: str | None, url: str | None, timeout_s: float, as_json: bool) -> None:
    """Show how many calls wait in each queue, for how long the oldest has, and how many workers take them.

    \b
    Examples:
      actorq queues list
      actorq queues list --json
    """
    with connected(app, url) as mesh:
        queues = mesh.control.queues(timeout_s)
    if as_json:
        click.echo(to_json(queues))
        return
    for name, found in queues.items():
        click.echo(line_of(name, found))
        for task, count in found["without_offer"].items():
            click.echo(f"    {count:,} of {task} wait for a worker that offers it and serves this queue")
    if not queues:
        click.echo("there are no queues yet: no call has come, and no worker is there")


def line_of(name: str, found: dict[str, Any]) -> str:
    """One queue, for people."""
    waits = f", the oldest for {found['oldest_wait_s']:.1f} s" if found["size"] else ""
    workers = f"{found['consumers']} {'worker' if found['consumers'] == 1 else 'workers'}"
    paused = click.style(" PAUSED", fg="yellow") if found["paused"] else ""
    return f"{name}: {found['size']:,} wait{waits}; {workers}{paused}"


@command.command()
@click.argument("names", metavar="QUEUE...", nargs=-1, required=True)
@mesh_options
@timeout
def pause(names: tuple[str, ...], app: str | None, url: str | None, timeout_s: float) -> None:
    """Have calls of these queues wait: they are taken, and workers get none.

    \b
    Examples:
      actorq queues pause feeds
    """
    set_paused(names, app, url, timeout_s, is_paused=True)


@command.command()
@click.argument("names", metavar="QUEUE...", nargs=-1, required=True)
@mesh_options
@timeout
def resume(names: tuple[str, ...], app: str | None, url: str | None, timeout_s: float) -> None:
    """Have calls of paused queues run again.

    \b
    Examples:
      actorq queues resume feeds
    """
    set_paused(names, app, url, timeout_s, is_paused=False)


def set_paused(names: tuple[str, ...], app: str | None, url: str | None, timeout_s: float, is_paused: bool) -> None:
    """Pause or resume each, and say so. A name that no queue has may be meant for later, and is pointed out."""
    with connected(app, url) as mesh:
        known = mesh.control.queues(timeout_s)
        for name in names:
            order = mesh.control.pause_queue if is_paused else mesh.control.resume_queue
            order(name, timeout_s)
            click.echo(f"{name} is {'paused' if is_paused else 'not paused'}")
            if name not in known:
                hint = nearest(name, known) or "it is remembered for when there is"
                click.echo(f"there is no queue {name!r} yet: {hint}", err=True)


@command.command()
@click.argument("names", metavar="[QUEUE]...", nargs=-1)
@mesh_options
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@timeout_option(5.0, "For how long to wait for answers.")
def purge(names: tuple[str, ...], app: str | None, url: str | None, force: bool, timeout_s: float) -> None:
    """End all calls that wait in these queues, or in all, as REVOKED. What runs goes on.

    \b
    Examples:
      actorq queues purge feeds
      actorq queues purge --force
    """
    if not force:
        click.confirm(f"End all calls that wait in {', '.join(names) or 'ALL queues'}?", abort=True)
    with connected(app, url) as mesh:
        count = mesh.control.purge(names, timeout_s)
    click.echo(f"Purged {count:,} {'call' if count == 1 else 'calls'}.")
