"""Options that several commands have."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from actorq.config import DEFAULT_ADDRESS, INSECURE_VARIABLE, KEY_VARIABLE, URL_VARIABLE

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
_KEY, _INSECURE = "actorq.key", "actorq.insecure"
"""Where a command keeps what was said of them: all its parts need them, and few say so in their signatures."""


def noted(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """A callback that keeps an option's value for `key_path` or `is_insecure`; the one nearer to the command wins."""

    def note(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value:
            ctx.meta[name] = value

    return note


def key_option_of(text: str, default: str) -> Callable[[F], F]:
    """``--key PATH``; `text` says whose key file that is, and `default` which one it is where the environment names none."""
    return click.option(
        "--key",
        metavar="PATH",
        expose_value=False,
        callback=noted(_KEY),
        help=f"{text} Default: ${KEY_VARIABLE}, else {default}.",
    )


key_option = key_option_of("Key file of the mesh, or of this client (see actorq key).", "none")
insecure_option = click.option(
    "--insecure",
    is_flag=True,
    expose_value=False,
    callback=noted(_INSECURE),
    help="Talk to other hosts without a key as well, although nothing is encrypted and anybody can connect.",
)


def key_path() -> str:
    """The key file that was named for this command; empty: none."""
    path = click.get_current_context().meta.get(_KEY) or os.environ.get(KEY_VARIABLE, "")
    return os.path.abspath(path) if path else ""


def is_insecure() -> bool:
    """Whether this command may talk to other hosts without a key."""
    return bool(click.get_current_context().meta.get(_INSECURE)) or os.environ.get(INSECURE_VARIABLE) == "1"


json_option = click.option("-j", "--json", "as_json", is_flag=True, help="Print JSON, for programs.")
loglevel_option = click.option(
    "-l",
    "--loglevel",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL"], case_sensitive=False),
    help="What to log to standard error. [WARNING]",
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
