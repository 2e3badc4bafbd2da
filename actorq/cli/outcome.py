"""How a call ended, as people read it and as programs do."""

from __future__ import annotations

from pprint import pformat
from typing import TYPE_CHECKING, Any

import click

from actorq import states
from actorq.cli.problems import FAILED, NOT_YET, Problem
from actorq.cli.replies import to_json

if TYPE_CHECKING:
    from actorq.tasks.result import AsyncResult


def show_outcome(result: AsyncResult[Any], timeout_s: float | None, as_json: bool, with_traceback: bool) -> None:
    """Wait for the outcome and print it. Raises Problem if there is none in time, or it is not a success."""
    try:
        value = result.get(timeout_s, propagate=False)
    except TimeoutError as error:
        raise pending(result.id, result.state, as_json, str(error)) from None
    if result.state == states.SUCCESS:
        click.echo(to_json({"id": result.id, "state": result.state, "result": value}) if as_json else text_of(value))
        return
    assert isinstance(value, BaseException)
    show_failure(result, value, as_json, with_traceback)


def pending(task_id: str, state: str, as_json: bool, why: str) -> Problem:
    """The end of a command that has no outcome to show. Programs get an object in any case."""
    if as_json:
        click.echo(to_json({"id": task_id, "state": state}))
    return Problem(f"{why} (its state is {state})", NOT_YET)


def show_failure(result: AsyncResult[Any], error: BaseException, as_json: bool, with_traceback: bool) -> None:
    """Raises Problem."""
    kind = type(error).__name__
    if as_json:
        cause = {"type": getattr(error, "type_name", kind), "message": getattr(error, "message", str(error))}
        click.echo(
            to_json({"id": result.id, "state": result.state, "error": cause, "traceback": result.traceback or None})
        )
    elif with_traceback and result.traceback:
        click.echo(result.traceback.rstrip(), err=True)
    what = "was revoked" if result.state == states.REVOKED else "failed"
    said = str(error) if hasattr(error, "type_name") else f"{kind}: {error}" if str(error) else kind
    raise Problem(f"{result.id} {what}: {said}", FAILED)


def text_of(value: Any) -> str:
    """A string as it is, everything else as Python writes it."""
    return value if isinstance(value, str) else pformat(value)
