"""``actorq result``: how a call ended."""

from __future__ import annotations

import click

from actorq import states
from actorq.cli.connection import PATIENCE_S, connected, mesh_options
from actorq.cli.options import json_option, timeout_option
from actorq.cli.outcome import pending, show_outcome


@click.command(short_help="Print the result of a call.")
@click.argument("task_id", metavar="ID")
@timeout_option(None, "For how long to wait. Default: without end, if the mesh knows the call.")
@click.option("--traceback", is_flag=True, help="Show the traceback of a task that failed.")
@mesh_options
@json_option
def command(
    task_id: str, timeout_s: float | None, traceback: bool, app: str | None, url: str | None, as_json: bool
) -> None:
    """Print the result of the call ID; wait for it, if it has not ended.

    The exit status: 1 if the task failed or was revoked, 75 if there is no result in time.

    \b
    Examples:
      actorq result 3f6e0c1a-1
      actorq result 3f6e0c1a-1 --timeout 10 --json
    """
    with connected(app, url) as mesh:
        result = mesh.AsyncResult(task_id)
        is_pending = result.state == states.PENDING  # So is one that the mesh does not know.
        if timeout_s is None and is_pending and not mesh.session.look_up([task_id], PATIENCE_S).states.get(task_id):
            why = f"the mesh knows no call {task_id}: its outcome is no longer kept, or it was never made"
            raise pending(task_id, states.PENDING, as_json, why)
        show_outcome(result, timeout_s, as_json, traceback)
