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
from actorq.config import DEFAULT_QUEUE
from actorq.policies.addresses import check_connecting
from actorq.worker.choices import addresses_in, early_settings
from actorq.worker.kinds import GREEN, SYNONYMS
from actorq.worker.options import WorkerOptions

C = TypeVar("C", bound=Callable[..., object])
DEFAULTS = WorkerOptions()


def node_options(command: C) -> C:
    """What may be said of workers wherever they are started."""
    for option in reversed(
        [
            app_option,
            click.option(
                "--config",
                metavar="FILE",
                default="",
                help="TOML file, or module, with settings, beside those that the application has.",
            ),
            click.option("-I", "--include", metavar="MODULE,…", callback=listed, help="More modules with tasks."),
            click.option(
                "-Q",
                "--queues",
                metavar="QUEUE,…",
                callback=listed,
                help=f"Take calls of these only. [task_queues, or {DEFAULT_QUEUE}]",
            ),
            click.option(
                "-X",
                "--exclude-queues",
                metavar="QUEUE,…",
                callback=listed,
                help="Take no calls of these of task_queues.",
            ),
            click.option(
                "--drain",
                "drain_s",
                metavar="SECONDS",
                type=click.FloatRange(min=0),
                help=f"How long running calls may go on when the worker is told to end. [{DEFAULTS.drain_s:g}]",
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
    exclude_queues: Sequence[str],
    pool: str | None,
    concurrency: int | None,
    processes: int | None,
    max_calls: int | None,
    max_rss_bytes: int,
    drain_s: float | None,
    no_code: bool,
    loglevel: str | None,
    config: str,
    name: str = DEFAULTS.name,
    usual_processes: int = 1,
) -> WorkerOptions:
    """The options as the supervisor takes them. Raises UsageError where nothing would be left to run.

    What is left open the nodes find in the settings, but for what the supervisor needs to know.
    """
    early = early_settings(config)
    if drain_s is None:
        drain_s = early.worker_soft_shutdown_timeout
    if not app and not include:
        if no_code:
            raise click.UsageError("with --no-code a worker needs tasks: name their module with -A")
        click.echo("no -A: the workers have no tasks of their own, and run functions by value only.", err=True)
    pool = pool or early.worker_pool
    if SYNONYMS.get(pool, pool) != GREEN:  # Green ones find it in the application's settings, too.
        concurrency = concurrency or early.worker_concurrency
    shape = shape_of(pool, concurrency, processes, usual_processes)
    return WorkerOptions(
        addresses=tuple(addresses),
        app=app or "",
        include=tuple(include),
        queues=tuple(queues),
        exclude_queues=tuple(exclude_queues),
        config=config,
        pool=shape.pool,
        concurrency=shape.concurrency if concurrency or shape.pool != GREEN else None,
        processes=shape.processes,
        max_calls=max_calls or 0,
        max_rss_bytes=max_rss_bytes,
        name=name,
        drain_s=DEFAULTS.drain_s if drain_s is None else drain_s,
        loglevel=loglevel or early.worker_log_level,
        key=checked_key() or None,
        insecure=is_insecure(),
        by_value=False if no_code else None,
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
def command(
    ctx: click.Context, /, url: str | None, processes: int | None, config: str, app: str | None, **options: Any
) -> None:
    """Run worker processes, which import your tasks and run calls.

    Ctrl-C or TERM lets running calls end within --drain seconds and gives the others back; a second one does not wait.
    What the command line does not say the settings do: the application's, the file's of --config, and the
    environment's (ACTORQ_WORKER_CONCURRENCY=8 and so on).
    The exit status is 78 if the module cannot be imported, or a setting cannot be used.
    Ctrl-C or TERM lets running calls end within --drain seconds and gives the others back; a second one, or QUIT, does
    not wait. HUP starts one process after the other anew, with the code as it is now. USR1 writes all stacks to the
    log. The exit status is 0, 78 if the module cannot be imported, and 1 if a process had to be killed.

    \b
    Examples:
      actorq worker -A proj.tasks
      actorq worker -A proj.tasks -u tcp://10.0.0.5:5570 --key cluster.key -Q fast,default --processes 2
      actorq worker -A proj.tasks:app -n gpu@%h --no-code -l INFO
      actorq worker -A proj.tasks --config /etc/proj.toml
      actorq worker -A proj.tasks -P threads -c 8
      actorq worker -A proj.tasks -P prefork -c 4 --max-tasks-per-child 1000 --max-memory-per-child 500MiB
    """
    config = os.path.abspath(config) if config.endswith(".toml") else config
    early = early_settings(config)
    addresses = () if url is None and app is not None else addresses_in(url or early.url)
    chosen = worker_options(
        addresses, app, processes=processes or early.worker_processes or None, config=config, **options
    )
    check_connecting(addresses, bool(chosen.key), chosen.insecure)
    from actorq.worker.supervisor import run_supervisor

    ctx.exit(run_supervisor(chosen))
