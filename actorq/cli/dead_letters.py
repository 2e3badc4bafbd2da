"""``actorq dead-letters``: calls that were given up."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, TypeVar

import click

from actorq.cli.connection import connected, mesh_options
from actorq.cli.options import json_option, timeout_option
from actorq.cli.problems import FAILED
from actorq.cli.replies import to_json
from actorq.errors import ActorqError

C = TypeVar("C", bound=Callable[..., Any])
SAFE = ("msgpack", "json")
"""Serializers whose payloads run nothing when they are opened."""


def chosen(command: C) -> C:
    """Which letters: by id, by queue."""
    queue = click.option("-q", "--queue", default="", metavar="QUEUE", help="Of this queue only.")
    timeout = timeout_option(5.0, "For how long to wait for answers.")
    return click.argument("ids", metavar="[ID]...", nargs=-1)(mesh_options(queue(timeout(command))))


@click.group(short_help="List, show, replay and purge calls that were given up.")
def command() -> None:
    """See calls that were given up, and run them again.

    \b
    Examples:
      actorq dead-letters list
      actorq dead-letters replay 3f6e0c1a-1
      actorq dead-letters purge --queue feeds --force
    """


@command.command("list")
@chosen
@json_option
def show_all(
    ids: tuple[str, ...], app: str | None, url: str | None, queue: str, timeout_s: float, as_json: bool
) -> None:
    """List them, the oldest first, with the reason.

    \b
    Examples:
      actorq dead-letters list
      actorq dead-letters list --queue feeds --json
    """
    with connected(app, url) as mesh:
        letters = mesh.control.dead_letters(ids, queue, timeout_s)
    if as_json:
        click.echo(to_json(letters))
        return
    for letter in letters:
        click.echo(f"{letter['id']}  {letter['task']}  {moment(letter['time'])}  {letter['reason']}")
    if not letters:
        click.echo("no dead letters")


@command.command()
@chosen
@json_option
def show(ids: tuple[str, ...], app: str | None, url: str | None, queue: str, timeout_s: float, as_json: bool) -> None:
    """Show them with the arguments of their calls.

    \b
    Examples:
      actorq dead-letters show 3f6e0c1a-1
    """
    with connected(app, url) as mesh:
        letters = mesh.control.show_dead_letters(ids, queue, timeout_s)
        for letter in letters:
            letter["arguments"] = arguments_of(mesh, letter)
    if as_json:
        click.echo(to_json(letters))
        return
    for letter in letters:
        for name, value in letter.items():
            click.echo(f"{name}: {moment(value) if name == 'time' else value}")
        click.echo("")
    if not letters:
        raise click.ClickException("there is no such dead letter")


def arguments_of(mesh: Any, letter: dict[str, Any]) -> str:
    """The arguments, for people. What could run code is not opened."""
    body, serializer = letter.pop("body", None), letter.pop("serializer", "")
    if body is None:
        return "not kept"
    if serializer.partition("+")[0] not in SAFE:
        return f"<{len(body):,} bytes of {serializer}>"
    try:
        args, kwargs = mesh.serializers.decode_call(serializer, body)
    except ActorqError as error:
        return f"<{error}>"
    return ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])


@command.command()
@chosen
@click.option("-a", "--all", "everything", is_flag=True, help="All that there are.")
def replay(
    ids: tuple[str, ...], app: str | None, url: str | None, queue: str, timeout_s: float, everything: bool
) -> None:
    """Run them again, under new ids; the letters are gone then. The exit status is 1 if one cannot be run again.

    \b
    Examples:
      actorq dead-letters replay 3f6e0c1a-1
      actorq dead-letters replay --queue feeds
    """
    if not (ids or queue or everything):
        raise click.UsageError("name the ids of calls, a --queue, or --all")
    with connected(app, url) as mesh:
        became = mesh.control.replay_dead_letters(ids, queue, timeout_s)
    for task_id, again in became.items():
        click.echo(f"{task_id} -> {again}")
    unknown = [task_id for task_id in ids if task_id not in became]
    for task_id in unknown:
        click.echo(f"{task_id}: there is no such dead letter", err=True)
    if unknown or any(again.startswith("error: ") for again in became.values()):
        raise SystemExit(FAILED)


@command.command()
@chosen
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
def purge(ids: tuple[str, ...], app: str | None, url: str | None, queue: str, timeout_s: float, force: bool) -> None:
    """Forget them.

    \b
    Examples:
      actorq dead-letters purge 3f6e0c1a-1
      actorq dead-letters purge --force
    """
    if not force:
        what = ", ".join(ids) or (f"all of queue {queue}" if queue else "ALL dead letters")
        click.confirm(f"Forget {what}?", abort=True)
    with connected(app, url) as mesh:
        count = mesh.control.purge_dead_letters(ids, queue, timeout_s)
    click.echo(f"Forgot {count:,} {'letter' if count == 1 else 'letters'}.")


def moment(unix_s: float) -> str:
    """A time in local time."""
    return datetime.datetime.fromtimestamp(unix_s).isoformat(" ", "seconds")
