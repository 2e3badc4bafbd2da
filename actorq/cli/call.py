"""``actorq call``: submit one call by the task's name."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from actorq.cli.connection import PATIENCE_S, connected, mesh_options
from actorq.cli.options import json_option, timeout_option
from actorq.cli.outcome import show_outcome
from actorq.cli.replies import to_json
from actorq.config import DEFAULT_QUEUE, HIGHEST_PRIORITY, LOWEST_PRIORITY
from actorq.errors import OperationalError, nearest
from actorq.policies.queues import queue_of

if TYPE_CHECKING:
    from actorq.app import ActorQ


def json_of(kind: type, example: str) -> Callable[[click.Context, click.Parameter, str], Any]:
    """A callback that reads JSON and wants a value of that type."""

    def read(ctx: click.Context, param: click.Parameter, value: str) -> Any:
        try:
            data = json.loads(value)
        except ValueError as error:
            raise click.BadParameter(f"{value!r} is not JSON ({error}); write it like {example}") from None
        if not isinstance(data, kind):
            raise click.BadParameter(f"{value!r} is not what is needed here; write it like {example}")
        return data

    return read


def moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | float | None:
    """A number, or a date and time in ISO 8601."""
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00"))  # Python 3.10 does not know Z.
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor a time such as 2030-12-31T23:59:00Z") from None


@click.command(short_help="Call a task by its name.")
@click.argument("name")
@click.option(
    "-a", "--args", metavar="JSON", default="[]", callback=json_of(list, "'[2, 3]'"), help="Positional arguments."
)
@click.option(
    "-k", "--kwargs", metavar="JSON", default="{}", callback=json_of(dict, """'{"x": 2}'"""), help="Keyword arguments."
)
@click.option("--countdown", metavar="SECONDS", type=click.FloatRange(min=0), help="Start so many seconds from now.")
@click.option("--eta", metavar="TIME", callback=moment, help="Start at this time: ISO 8601, or Unix time.")
@click.option("--expires", metavar="TIME", callback=moment, help="Do not start later: ISO 8601, or seconds from now.")
@click.option("-q", "--queue", metavar="QUEUE", help="Queue, instead of the task's own.")
@click.option("--exchange", metavar="NAME", help="Exchange, instead of a queue: its bindings lead to queues.")
@click.option("--routing-key", metavar="KEY", help="By which they lead there.")
@click.option(
    "--priority",
    type=click.IntRange(LOWEST_PRIORITY, HIGHEST_PRIORITY),
    help="Higher goes first.",
)
@click.option("--serializer", metavar="NAME", help="Format of arguments and result: msgpack, json, or one of -A's own.")
@click.option("--compression", metavar="NAME", help="Of arguments and result: gzip, zlib, bzip2, lzma, zstd.")
@click.option("-w", "--wait", is_flag=True, help="Wait for the result and print it.")
@timeout_option(None, "With --wait: for how long. Default: without end.")
@click.option("--traceback", is_flag=True, help="With --wait: show the traceback of a task that failed.")
@mesh_options
@json_option
def command(
    name: str,
    args: list[Any],
    kwargs: dict[str, Any],
    wait: bool,
    timeout_s: float | None,
    traceback: bool,
    app: str | None,
    url: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Call the task NAME and print the call's id, or with --wait its result.

    With -A, the options of the task in that module are the defaults.
    The exit status with --wait: 1 if the task failed or was revoked, 75 if it did not end in time.

    \b
    Examples:
      actorq call proj.tasks.add -a '[2, 3]' --wait
      actorq call proj.tasks.report -k '{"day": "2030-01-31"}' --countdown 60 --queue slow
      actorq result $(actorq call proj.tasks.add -a '[2, 3]')
    """
    chosen = {option: value for option, value in options.items() if value is not None}
    if "countdown" in chosen and "eta" in chosen:
        raise click.UsageError("give --countdown or --eta, not both")
    with connected(app, url) as mesh:
        result = mesh.send_task(name, args, kwargs, **chosen)
        if not chosen.keys() & {"exchange", "routing_key"}:
            note_unoffered(mesh, result.id, name, _queue_of(mesh, name, chosen))
        if wait:
            show_outcome(result, timeout_s, as_json, traceback)
            return
        if not mesh.session.flush(PATIENCE_S):
            raise OperationalError(f"the coordinator did not accept the call within {PATIENCE_S:g} s")
        if result.is_refused():
            result.get()  # Raises why.
        click.echo(to_json({"id": result.id}) if as_json else result.id)


def _queue_of(mesh: ActorQ, name: str, chosen: dict[str, Any]) -> str:
    task = mesh.tasks.get(name)
    options = task.options if task is not None else {}
    return queue_of(chosen.get("queue") or options.get("queue") or DEFAULT_QUEUE)


def note_unoffered(mesh: ActorQ, task_id: str, name: str, queue: str) -> None:
    """Say on standard error if no worker takes such calls: the call then waits, maybe for a typing error."""
    try:
        replies = mesh.control.inspect(timeout=1.0).coordinator()
    except (OperationalError, TimeoutError):
        return  # The call itself will tell.
    workers = [worker for stats in replies.values() for worker in stats["workers"]]
    offers = {offer for worker in workers for offer in worker["offers"]}
    if name not in offers:
        why = nearest(name, offers) or "start one that imports it, or see 'actorq inspect registered'"
        _note(task_id, f"no worker offers {name!r}: {why if workers else 'no worker is there at present'}")
    elif not any(queue in worker["queues"] and name in worker["offers"] for worker in workers):
        _note(task_id, f"no worker that offers {name!r} takes calls of queue {queue!r}: start one with -Q {queue}")


def _note(task_id: str, why: str) -> None:
    click.echo(f"note: call {task_id} waits, because {why} ('actorq control revoke {task_id}' ends it)", err=True)
