"""``actorq coordinator``: the coordinator, in this process."""

from __future__ import annotations

import click

from actorq import log
from actorq.cli.listening import (
    check_exposure,
    data_option,
    listen_option,
    result_expires_option,
    tell_where_calls_are,
    transient_option,
)
from actorq.cli.options import insecure_option, is_insecure, key_option, key_path, loglevel_option


@click.command(short_help="Run a coordinator.")
@listen_option
@click.option(
    "-n",
    "--name",
    default="coordinator-%p@%h",
    show_default=True,
    help="Name of this node; %h: the host, %p: the port.",
)
@data_option
@transient_option
@result_expires_option
@click.option(
    "--join",
    metavar="ADDRESS",
    multiple=True,
    callback=lambda ctx, param, values: [each.strip() for value in values for each in value.split(",") if each.strip()],
    help="Another coordinator of the mesh, tcp://HOST:PORT; one is enough, all may name the same ones.",
)
@click.option(
    "--advertise",
    metavar="ADDRESS",
    default="",
    help="The address that others are told. Default: where it listens, or this host's address if that is 0.0.0.0.",
)
@key_option
@insecure_option
@loglevel_option
def command(
    listen: str,
    name: str,
    data: str | None,
    transient: tuple[str, ...],
    result_expires_s: float,
    join: list[str],
    advertise: str,
    loglevel: str | None,
) -> None:
    """Run a coordinator, which takes calls from clients and leases them to workers.

    It never imports your code. Ends with Ctrl-C or TERM; workers and clients wait for the next one.
    With --key it reads that file again when it changes.
    The exit status is 78 if it cannot listen, or another coordinator uses the directory.

    \b
    Examples:
      actorq coordinator
      actorq coordinator --listen tcp://127.0.0.1:5571
      actorq coordinator --data /var/lib/actorq --transient metrics
      actorq coordinator --listen tcp://10.0.0.5:5570 --key cluster.key
      actorq coordinator --listen tcp://127.0.0.1:5571 --join tcp://127.0.0.1:5570
    """
    check_exposure(listen)
    from actorq.coordinator import node

    name = node.name_of(name, listen)
    log.configure(loglevel or "WARNING", name)
    tell_where_calls_are(data, transient)
    node.run(
        listen,
        name,
        data=data,
        transient=transient,
        joins=join,
        advertise=advertise,
        key=key_path(),
        insecure=is_insecure(),
        result_expires_s=result_expires_s,
    )
