"""``actorq worker``: a supervisor with one or several worker processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from actorq.cli.options import (
    app_option,
    insecure_option,
    is_insecure,
    key_option,
    key_path,
    listed,
    loglevel_option,
    url_option,
)
from actorq.cli.pools import pool_options, shape_of
from actorq.cli.problems import MISCONFIGURED, Problem
from actorq.config import DEFAULT_ADDRESS, DEFAULT_QUEUE, URL_VARIABLE
from actorq.policies.addresses import check_connecting, parse_url
from actorq.worker.options import WorkerOptions

C = TypeVar("C", bound=Callable[..., object])
DEFAULTS = WorkerOptions()


def node_options(command: C) -> C:
    """What may be said of workers wherever they are started."""
    for option in reversed(
        [
            app_option,
            click.option("-I", "--include", metavar="MODULE,…", callback=listed, help="More modules with tasks."),
            click.option(
                "-Q",
                "--queues",
                metavar="QUEUE,…",
                callback=listed,
                help=f"Take calls of these only. [{DEFAULT_QUEUE}]",
            ),
            click.option(
                "--drain",
                "drain_s",
                metavar="SECONDS",
                type=click.FloatRange(min=0),
                default=DEFAULTS.drain_s,
                show_default=True,
                help="How long running calls may go on when the worker is told to end.",
            ),
            click.option(
                "--no-code",
                is_flag=True,
                help="Run only tasks that are imported: functions by value wait for a worker that takes them.",
            ),
            key_option,
            insecure_option,
            loglevel_option,
        ]
    ):
        command = option(command)
    return pool_options(command)


def worker_options(
    addresses: Sequence[str],
    app: str | None,
    include: Sequence[str],
    queues: Sequence[str],
    pool: str,
    concurrency: int | None,
    processes: int | None,
    max_calls: int | None,
    max_rss_bytes: int,
    drain_s: float,
    no_code: bool,
    loglevel: str,
    name: str = DEFAULTS.name,
    usual_processes: int = 1,
) -> WorkerOptions:
    """The options as the supervisor takes them. Raises UsageError where nothing would be left to run."""
    if not app and not include:
        if no_code:
            raise click.UsageError("with --no-code a worker needs tasks: name their module with -A")
        click.echo("no -A: the workers have no tasks of their own, and run functions by value only.", err=True)
    shape = shape_of(pool, concurrency, processes, usual_processes)
    return WorkerOptions(
        addresses=tuple(addresses),
        app=app or "",
        include=tuple(include),
        queues=tuple(queues) or DEFAULTS.queues,
        pool=shape.pool,
        concurrency=shape.concurrency,
        processes=shape.processes,
        max_calls=max_calls or 0,
        max_rss_bytes=max_rss_bytes,
        name=name,
        drain_s=drain_s,
        loglevel=loglevel,
        key=checked_key(),
        insecure=is_insecure(),
        by_value=not no_code,
    )


def checked_key() -> str:
    """The path of the cluster's key file; empty: none. Raises BadKey, here and not in each process."""
    path = key_path()
    if path:
        from actorq.keys import load_cluster_key

        load_cluster_key(path, "a worker")
    return path


@click.command(short_help="Run worker processes.")
@node_options
@url_option
@click.option("--processes", type=click.IntRange(min=1), help="Processes, each a node of its own.  [default: 1]")
@click.option(
    "-n",
    "--name",
    "--hostname",
    default=DEFAULTS.name,
    show_default=True,
    help="Name of each process; %h: host, %n: host without domain, %i: number of the process, %p: its process id.",
)
@click.pass_context
def command(ctx: click.Context, /, url: str | None, **options: Any) -> None:
    """Run worker processes, which import your tasks and run calls.

    Ctrl-C or TERM lets running calls end within --drain seconds and gives the others back; a second one, or QUIT, does
    not wait. HUP starts one process after the other anew, with the code as it is now. USR1 writes all stacks to the
    log. The exit status is 0, 78 if the module cannot be imported, and 1 if a process had to be killed.

    \b
    Examples:
      actorq worker -A proj.tasks
      actorq worker -A proj.tasks -u tcp://10.0.0.5:5570 --key cluster.key -Q fast,default --processes 2
      actorq worker -A proj.tasks:app -n gpu@%h --no-code -l INFO
      actorq worker -A proj.tasks -P threads -c 8
      actorq worker -A proj.tasks -P prefork -c 4 --max-tasks-per-child 1000 --max-memory-per-child 500MiB
    """
    mesh = parse_url(url or os.environ.get(URL_VARIABLE) or DEFAULT_ADDRESS)
    if mesh.is_local:
        raise Problem(f"{url} is a mesh inside one program: a worker needs a coordinator's address (-u)", MISCONFIGURED)
    chosen = worker_options(mesh.addresses, **options)
    check_connecting(mesh.addresses, bool(chosen.key), chosen.insecure)
    from actorq.worker.supervisor import run_supervisor

    ctx.exit(run_supervisor(chosen))
