"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from actorq.config import DEFAULT_ADDRESS, URL_VARIABLE

F = TypeVar("F", bound=Callable[..., Any])


def inherited(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """An option may stand before the command or after it; the nearer one wins."""
    return value if value is not None else ctx.find_root().params.get(param.name or "")


def listed(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str]:
    """Names with commas between."""
    return [name.strip() for name in (value or "").split(",") if name.strip()]


app_option = click.option(
    "-A",
    "--app",
    metavar="MODULE",
    callback=inherited,
    help="Module with the tasks: proj.tasks, or proj.tasks:app to name the application in it.",
)
url_option = click.option(
    "-u",
    "--url",
    metavar="URL",
    callback=inherited,
    help=f"Coordinator's address, or several with commas between. Default: ${URL_VARIABLE}, else {DEFAULT_ADDRESS}.",
)
json_option = click.option("-j", "--json", "as_json", is_flag=True, help="Print JSON, for programs.")
loglevel_option = click.option(
    "-l",
    "--loglevel",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], case_sensitive=False),
    default="WARNING",
    show_default=True,
    help="What to log to standard error.",
)
destination_option = click.option(
    "-d", "--destination", metavar="NODE,…", callback=listed, help="Only these nodes. Default: all."
)


def timeout_option(default_s: float | None, text: str) -> Callable[[F], F]:
    """``-t/--timeout SECONDS``."""
    return click.option(
        "-t",
        "--timeout",
        "timeout_s",
        metavar="SECONDS",
        type=click.FloatRange(min=0),
        default=default_s,
        show_default=default_s is not None,
        help=text,
    )
