"""``actorq inspect``: questions to nodes."""

from __future__ import annotations

import inspect

import click

from actorq.cli.connection import connected, mesh_options
from actorq.cli.options import destination_option, json_option, timeout_option
from actorq.cli.replies import show_replies
from actorq.control.control import Inspect
from actorq.errors import nearest

QUESTIONS = {
    name: (inspect.getdoc(method) or "").splitlines()[0].replace("``", "")
    for name, method in vars(Inspect).items()
    if not name.startswith("_")
}
"""What `app.control.inspect()` has, with the first line of its documentation."""


def known(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """The name of a question, also if it is spelt as commands are elsewhere."""
    value = value.replace("-", "_")
    if value not in QUESTIONS:
        hint = nearest(value, QUESTIONS) or f"known are {', '.join(QUESTIONS)}"
        raise click.BadParameter(f"there is no {value!r}: {hint}")
    return value


@click.command(epilog="\b\nCommands:\n" + "\n".join(f"  {name:<14}{text}" for name, text in QUESTIONS.items()))
@click.argument("question", metavar="COMMAND", callback=known)
@mesh_options
@destination_option
@timeout_option(1.0, "For how long to wait for answers.")
@json_option
def command(
    question: str, app: str | None, url: str | None, destination: list[str], timeout_s: float, as_json: bool
) -> None:
    """Ask nodes what they do. The exit status is 69 if none answers.

    \b
    Examples:
      actorq inspect active
      actorq inspect stats -d worker-1@host,worker-2@host
      actorq inspect queues --json
    """
    with connected(app, url) as mesh:
        replies = getattr(mesh.control.inspect(destination, timeout_s), question)()
        show_replies(replies, as_json, timeout_s)
