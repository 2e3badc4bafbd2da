"""The application through which a command talks to the mesh."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from actorq.cli.options import app_option, insecure_option, is_insecure, key_option, key_path, url_option
from actorq.cli.problems import MISCONFIGURED, Problem
from actorq.policies.addresses import parse_url

if TYPE_CHECKING:
    from actorq.app import ActorQ

C = TypeVar("C", bound=Callable[..., object])
PATIENCE_S = 3.0
"""For how long a command tries to reach a coordinator, and waits for it beyond the time that nodes have to answer."""


def mesh_options(command: C) -> C:
    """Where the mesh is, and with which key: ``-A``, ``-u``, ``--key``."""
    return app_option(url_option(key_option(insecure_option(command))))


@contextmanager
def connected(app: str | None, url: str | None, patience_s: float = PATIENCE_S) -> Iterator[ActorQ]:
    """The application that ``-A`` names, or one without tasks; at the mesh of ``-u``, else at its own.

    Raises OperationalError at the first use, if no coordinator is reached within `patience_s`.
    """
    mesh = application_at(app, url)
    if parse_url(mesh.url).is_local:
        raise Problem(
            f"{mesh.url} is a mesh inside one program, which others cannot reach: name a coordinator with -u",
            MISCONFIGURED,
        )
    mesh.conf.task_publish_timeout = patience_s
    with mesh, _plain_warnings():
        yield mesh


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show what is wrong in the mesh without the line of code that warns of it, which is none of the user's."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        click.echo(f"Warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def application_at(app: str | None, url: str | None) -> ActorQ:
    """The application; nothing is connected yet."""
    if app is None:
        from actorq.app import ActorQ

        return ActorQ(url=url, key=key_path(), insecure=is_insecure())
    from actorq.cli.application import import_application

    mesh: ActorQ = import_application(app)
    mesh.url = url or mesh.url
    mesh.key = key_path() or mesh.key
    mesh.insecure = is_insecure() or mesh.insecure
    return mesh
