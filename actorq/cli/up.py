"""``actorq up``: a coordinator and workers on this host, in the foreground."""

from __future__ import annotations

import os
from typing import Any

import click

from actorq import log
from actorq.cli.children import CoordinatorChild
from actorq.cli.listening import (
    check_exposure,
    data_option,
    listen_option,
    result_expires_option,
    tell_where_calls_are,
    transient_option,
)
from actorq.cli.options import is_insecure, key_path
from actorq.cli.worker import node_options, worker_options
from actorq.client.embedded import cpu_count
from actorq.worker.choices import early_settings


@click.command()
@node_options
@listen_option
@data_option
@transient_option
@result_expires_option
@click.option("--processes", type=click.IntRange(min=1), help="Worker processes. Default: one for each CPU.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    listen: str,
    data: str | None,
    transient: tuple[str, ...],
    result_expires_s: float,
    processes: int | None,
    loglevel: str | None,
    config: str,
    **options: Any,
) -> None:
    """Run a coordinator and workers on this host.

    Ctrl-C or TERM ends all: the workers first, which let running calls end within --drain seconds, and then the
    coordinator. A second Ctrl-C does not wait for running calls. The exit status is 78 if the module cannot be
    imported, or the address is in use.

    \b
    Examples:
      actorq up -A proj.tasks
      actorq up -A proj.tasks --processes 4 -c 50 -Q default,fast
      actorq up --listen tcp://127.0.0.1:5571
      actorq up -A proj.tasks --data ./journal
    """
    check_exposure(listen)
    from actorq.worker.supervisor import run_supervisor

    tell_where_calls_are(data, transient)
    config = os.path.abspath(config) if config.endswith(".toml") else config
    early = early_settings(config)
    loglevel = loglevel or early.worker_log_level
    log.configure(loglevel, "up")
    coordinator = CoordinatorChild(
        listen, "coordinator-%p@%h", loglevel, data, transient, key_path(), is_insecure(), result_expires_s
    )
    try:
        status = coordinator.wait_ready()
        if status:
            ctx.exit(status)
        addresses = [dialled(coordinator.address)]
        usual_processes = early.worker_processes or cpu_count()
        chosen = worker_options(
            addresses,
            processes=processes,
            loglevel=loglevel,
            config=config,
            usual_processes=usual_processes,
            **options,
        )
        text = f"coordinator at {coordinator.address}, {chosen.processes} worker processes. Ctrl-C ends all."
        click.echo(text, err=True)
        status = run_supervisor(chosen)
    finally:
        coordinator.close()
    ctx.exit(status)


def dialled(address: str) -> str:
    """Where the workers of this host connect to a coordinator that listens there."""
    return address.replace("tcp://0.0.0.0:", "tcp://127.0.0.1:").replace("tcp://*:", "tcp://127.0.0.1:")
