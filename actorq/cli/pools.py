"""The options of ``actorq worker`` that say how calls are run, as users of Celery know them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from actorq.client.embedded import cpu_count
from actorq.config import WorkerSettings
from actorq.errors import nearest
from actorq.worker.kinds import GREEN, NAMES, PREFORK, SOLO, SYNONYMS, THREADS

C = TypeVar("C", bound=Callable[..., object])

UNITS = {"": 1024, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
"""Bytes. A plain number is in KiB, as it is in Celery."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How many calls run at once, and where."""

    pool: str
    concurrency: int
    """Of each process."""
    processes: int


def shape_of(name: str, concurrency: int | None, processes: int | None, usual_processes: int) -> Shape:
    """What the options mean together; None: not given. Raises UsageError."""
    kind = SYNONYMS.get(name, name)
    if kind == PREFORK:
        if concurrency and processes:
            raise click.UsageError(f"with -P {name} each process runs one call: give -c or --processes, not both")
        return Shape(SOLO, 1, concurrency or processes or cpu_count())
    if kind == SOLO and (concurrency or 1) > 1:
        raise click.UsageError(f"-P solo runs one call at a time: leave -c out, or say -P prefork -c {concurrency}")
    usual = {GREEN: WorkerSettings().concurrency, SOLO: 1, THREADS: min(32, cpu_count() + 4)}
    return Shape(kind, concurrency or usual[kind], processes or usual_processes)


def pool_options(command: C) -> C:
    """What may be said of pools wherever workers are started."""
    for option in reversed(
        [
            click.option(
                "-P",
                "--pool",
                metavar="POOL",
                callback=_known_pool,
                help="What runs the calls of a process. green, the default: greenlets. threads: native threads, for code that "
                "blocks in C. solo: one call at a time. prefork: as many processes as -c says, each solo. In all but "
                "green your code is not monkey-patched.",
            ),
            click.option(
                "-c",
                "--concurrency",
                metavar="N|auto",
                callback=_count_or_auto,
                help="Calls that run at once in each process. Default, and auto: green 100, threads 4 more than there "
                "are CPUs, prefork one for each CPU.",
            ),
            click.option(
                "--max-tasks-per-child",
                "max_calls",
                metavar="N",
                type=click.IntRange(min=1),
                help="A fresh process takes the place of each that was given so many calls.",
            ),
            click.option(
                "--max-memory-per-child",
                "max_rss_bytes",
                metavar="KiB",
                callback=_size_bytes,
                help="The same for each that has grown beyond this: 200000, or with a unit, 200MiB.",
            ),
            *[
                click.option(*names, expose_value=False, hidden=True, callback=_say_needless, **more)
                for names, more in _NEEDLESS.items()
            ],
        ]
    ):
        command = option(command)
    return command


def _known_pool(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and value not in NAMES:
        raise click.BadParameter(f"there is no pool {value!r}: {nearest(value, NAMES) or ', '.join(NAMES)}")
    return value


def _count_or_auto(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is None or value == "auto":
        return None
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"{value!r} is neither a number from 1 on nor auto")
    return int(value)


def _size_bytes(ctx: click.Context, param: click.Parameter, value: str | None) -> int:
    if value is None:
        return 0
    digits = value.lower().removesuffix("b").removesuffix("i")
    unit = digits[-1:] if digits[-1:] in ("k", "m", "g") else ""
    number = digits.removesuffix(unit) if unit else digits
    if not unit and value.lower().endswith("b"):
        unit = "b"
    if not number.isdecimal() or int(number) < 1:
        raise click.BadParameter(f"{value!r} is no size: give KiB, as in 200000, or a unit, as in 200MiB or 1GB")
    return int(number) * UNITS[unit]


def _say_needless(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value:
        click.echo(f"{param.opts[-1]} changes nothing: a call is sent to a worker that has a free slot.", err=True)


_NEEDLESS: dict[tuple[str, ...], dict[str, Any]] = {
    ("--prefetch-multiplier",): {"type": int},
    ("--disable-prefetch",): {"is_flag": True},
    ("-O", "--optimization"): {"type": click.Choice(["default", "fair"])},
}
"""Options of Celery's that are taken so that its command lines work: they tune what is not here."""
