"""What nodes answered, as people read it and as programs do."""

from __future__ import annotations

import json
from typing import Any

import click

from actorq.cli.problems import UNAVAILABLE, Problem
from actorq.control.control import BroadcastReplies


def to_json(value: Any) -> str:
    """One line of JSON; what JSON does not know is shown as its repr."""
    return json.dumps(value, default=repr)


def show_replies(replies: BroadcastReplies, as_json: bool, timeout_s: float) -> None:
    """Print each node's reply under its name. Raises Problem if there is none; names the nodes that are missing."""
    if as_json:
        click.echo(to_json(replies))
    else:
        for node, reply in sorted(replies.items()):
            show_reply(node, reply)
    if not replies:
        raise no_answer(replies.missing, timeout_s)
    name_missing(replies.missing, timeout_s)


def show_reply(node: str, reply: Any) -> None:
    """``-> node: OK`` and the reply, indented."""
    error = reply.get("error") if isinstance(reply, dict) else None
    click.echo(f"-> {node}: " + (click.style("ERROR", fg="red") if error else click.style("OK", fg="green")))
    for line in lines_of(error or reply):
        click.echo(f"    {line}")


def lines_of(reply: Any) -> list[str]:
    """A reply in lines: lists with a star before each item."""
    if isinstance(reply, dict) and list(reply) == ["ok"]:
        return [str(reply["ok"])]
    if isinstance(reply, dict) and all(isinstance(value, (str, int, float)) for value in reply.values()):
        return [f"* {name}: {value}" for name, value in reply.items()] or ["- empty -"]
    if isinstance(reply, (list, tuple)):
        return [f"* {item if isinstance(item, str) else to_json(item)}" for item in reply] or ["- empty -"]
    if isinstance(reply, dict):
        return json.dumps(reply, indent=2, default=repr).splitlines()
    return [] if reply is None else str(reply).splitlines()


def no_answer(missing: list[str], timeout_s: float) -> Problem:
    """Nobody answered: either nobody is there, or those who are did not in time."""
    if missing:
        hint = (
            f"{', '.join(missing)}: no answer after {timeout_s:g} s. Give them more time with --timeout, or see 'actorq "
            f"status' for the names of those that are there"
        )
    else:
        hint = "The coordinator answers, but no worker is there: start one with 'actorq worker'"
    return Problem(f"No nodes replied within time constraint. {hint}", UNAVAILABLE)


def name_missing(missing: list[str], timeout_s: float) -> None:
    """Say on standard error which nodes did not answer."""
    if missing:
        click.echo(f"no answer within {timeout_s:g} s: {', '.join(missing)}", err=True)
