"""The command ``actorq``: finds the command that is named, and turns its errors into exit statuses."""

from __future__ import annotations

from importlib import import_module

import click

from actorq.cli.options import app_option, insecure_option, key_option, url_option
from actorq.cli.problems import INTERRUPTED, problem_of
from actorq.config import VERSION
from actorq.errors import ActorqError, nearest

COMMANDS = {
    "up": "actorq.cli.up",
    "coordinator": "actorq.cli.coordinator",
    "worker": "actorq.cli.worker",
    "status": "actorq.cli.status",
    "call": "actorq.cli.call",
    "result": "actorq.cli.result",
    "inspect": "actorq.cli.inspection",
    "control": "actorq.cli.control",
    "queues": "actorq.cli.queues",
    "dead-letters": "actorq.cli.dead_letters",
    "key": "actorq.cli.key",
}
"""Each module has the command as `command`. In the order in which help shows them."""
OF_CELERY = dict.fromkeys(
    ("amqp", "beat", "events", "graph", "list", "logtool", "migrate", "multi", "report", "shell", "upgrade"),
    "it is Celery's, and docs/guide/coming-from-celery.md says what there is instead",
) | {"purge": "it is 'actorq queues purge'"}
"""What is to be known of Celery's commands that are none here."""


class Commands(click.Group):
    """Imports a command's module only when the command, or the help of all, is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = import_module(module).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = OF_CELERY.get(args[0]) or nearest(args[0], COMMANDS) or "actorq --help lists them"
            ctx.fail(f"there is no command {args[0]!r}: {hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ActorqError as error:
            raise problem_of(error) from error
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None


@click.command(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@app_option
@url_option
@key_option
@insecure_option
@click.version_option(VERSION, message="actorq %(version)s")
@click.pass_context
def cli(ctx: click.Context, app: str | None, url: str | None) -> None:
    """Celery without the broker: run tasks on a mesh of workers.

    \b
    Examples:
      actorq up -A proj.tasks
      actorq call proj.tasks.add -a '[2, 3]' --wait
      actorq status
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """The entry point. Exits with the status of the command."""
    cli(prog_name="actorq")
