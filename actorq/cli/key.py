"""``actorq key``: key files, for a mesh and for its clients."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Any

import click

from actorq.cli.options import json_option, key_option_of, key_path
from actorq.cli.problems import MISCONFIGURED, Problem
from actorq.cli.replies import to_json
from actorq.config import KEY_VARIABLE
from actorq.keys import CODE, CONTROL, ClientKey, ClusterKey, Grant, Role, load_key
from actorq.keys.files import change, new_cluster_key, write_new

DEFAULT_PATH = "cluster.key"
cluster_option = key_option_of("The cluster's key file, the one that the coordinator uses.", f"{DEFAULT_PATH} here")
any_key_option = key_option_of("The key file to look at: the cluster's, or a client's.", f"{DEFAULT_PATH} here")
control_option = click.option(
    "--control", is_flag=True, help="It may also give orders: revoke calls, shut workers down."
)
by_value_option = click.option(
    "--by-value",
    is_flag=True,
    help="It may also send functions by value and pickles, which is to run any code on the workers.",
)


@click.group(short_help="Make, change and show keys, and take them away.")
def command() -> None:
    """Keys: who may connect to a mesh, and what they may do there.

    \b
    Examples:
      actorq key new cluster.key
      actorq coordinator --listen tcp://10.0.0.5:5570 --key cluster.key
      actorq key client alice --control --key cluster.key
      actorq key grant alice --by-value --key cluster.key
      actorq key show --key cluster.key
    """


@command.command()
@click.argument("path", default=DEFAULT_PATH)
def new(path: str) -> None:
    """Make the key file of a new mesh, at PATH (default: cluster.key). Every node needs a copy of it.

    It holds the secret of the mesh: whoever can read it can do everything there.
    """
    write_new(path, new_cluster_key())
    click.echo(
        f"{path}: the key of a new mesh. Copy it to each host that runs nodes; it is for --key and {KEY_VARIABLE}."
    )


@command.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([Role.CLIENT.value, Role.OBSERVER.value]),
    default=Role.CLIENT.value,
    show_default=True,
    help="A client submits calls and hears of their outcomes; an observer looks.",
)
@control_option
@by_value_option
@click.option("-o", "--output", metavar="PATH", help="Where to write its key file. Default: NAME.key")
@cluster_option
def client(name: str, role: str, control: bool, by_value: bool, output: str | None) -> None:
    """Make a key for the client NAME, and let the mesh know it.

    The coordinators that use this cluster file take it at once; others need a copy of the file as it is now.
    """
    if role == Role.OBSERVER.value and (control or by_value):
        raise click.UsageError("an observer looks, and has no further rights: leave --control and --by-value out")
    if output is None and os.path.basename(name) != name:
        raise click.UsageError(f"{name!r} would be a path: say with --output where to write its key file")
    path = output or f"{name}.key"
    rights = rights_of(control, by_value)
    made: list[ClientKey] = []

    def add(cluster: ClusterKey) -> ClusterKey:
        changed, key = cluster.with_client(name, Role(role), rights)
        write_new(path, key)
        made.append(key)
        return changed

    change(cluster_path(), add)
    click.echo(f"{path}: the key of {made[0].grant}. Give it to nobody else.")


@command.command()
@click.argument("name")
@control_option
@by_value_option
@cluster_option
def grant(name: str, control: bool, by_value: bool) -> None:
    """Give further rights to the key of the client NAME, which keeps its key file.

    Its sessions begin anew within a second or two, with these rights.
    """
    rights = rights_of(control, by_value)
    if not rights:
        raise click.UsageError("which rights? Give --control or --by-value, or both")
    granted: list[Grant] = []

    def add(cluster: ClusterKey) -> ClusterKey:
        changed, now = cluster.with_rights(name, rights)
        granted.append(now)
        return changed

    change(cluster_path(), add)
    click.echo(f"the key of {granted[0]}")


@command.command()
@click.argument("name")
@cluster_option
def remove(name: str) -> None:
    """Take the key of the client NAME away. Its sessions end within a second or two."""
    change(cluster_path(), lambda cluster: cluster.without_client(name))
    click.echo(f"the key of {name} is known no more")


@command.command()
@any_key_option
@json_option
def show(as_json: bool) -> None:
    """Show whose keys a file has, and what they may do; never a secret."""
    key = load_key(cluster_path())
    rows = rows_of(key)
    if as_json:
        click.echo(to_json(rows))
        return
    for row in rows:
        rights = ", ".join(row["rights"]) or "-"
        click.echo(f"{row['name']:<20} {row['role']:<9} {rights:<18} {row['public']}  {row['fingerprint']}")


def rights_of(control: bool, by_value: bool) -> list[str]:
    """The rights that were named."""
    return [right for right, wanted in ((CONTROL, control), (CODE, by_value)) if wanted]


def cluster_path() -> str:
    """The key file that was named, or the one in this directory. Raises Problem if there is none."""
    path = key_path() or DEFAULT_PATH
    if path == DEFAULT_PATH and not os.path.exists(path):
        raise Problem(
            f"which key file? Name it with --key or {KEY_VARIABLE}, or make one with 'actorq key new'", MISCONFIGURED
        )
    return path


def rows_of(key: ClusterKey | ClientKey) -> list[dict[str, Any]]:
    """What there is to show of a key file."""
    grants = key.grants() if isinstance(key, ClusterKey) else {key.pair.public: key.grant}
    rows = [
        {
            "name": grant.name,
            "role": grant.role.value,
            "rights": sorted(grant.rights),
            "public": public,
            "fingerprint": fingerprint(public),
        }
        for public, grant in grants.items()
    ]
    if isinstance(key, ClientKey):
        rows.append(
            {
                "name": "(the mesh)",
                "role": Role.NODE.value,
                "rights": [],
                "public": key.server,
                "fingerprint": fingerprint(key.server),
            }
        )
    return rows


def fingerprint(public: str) -> str:
    """Something short, for people who compare keys."""
    digest = sha256(public.encode()).hexdigest()[:16]
    return ":".join(digest[start : start + 4] for start in range(0, len(digest), 4))
