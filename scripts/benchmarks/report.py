"""What a run found: as a table for people, with machine and commit, and as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import gevent
import msgspec
import psutil
import zmq
from rich.console import Console
from rich.table import Table

from scripts.benchmarks.figure import Figure
from scripts.benchmarks.processes import REPOSITORY


def show(console: Console, figures: Sequence[Figure]) -> None:
    """Print the table and which bars hold."""
    table = Table(title=f"actorq {_commit()}", caption=_machine(), title_justify="left", caption_justify="left")
    table.add_column("figure", no_wrap=True)
    for heading in ("actorq", "reference", "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("bar", no_wrap=True)
    table.add_column("holds")
    for figure in figures:
        verdict = "[green]yes[/]" if figure.holds else "[red]no[/]"
        values = (f"{_number(each)} {figure.unit}" for each in (figure.value, figure.reference))
        table.add_row(figure.name, *values, f"{figure.ratio:.3g}", figure.rule_text(), verdict)
    console.print(table)
    for figure in figures:
        for note in figure.notes:
            console.print(f"[dim]{figure.name}: {note}[/]", highlight=False)
    _show_verdict(console, figures)


def write_json(path: Path, figures: Iterable[Figure]) -> None:
    """Write the list of records."""
    path.write_text(json.dumps([figure.as_json() for figure in figures], indent=2) + "\n")


def _show_verdict(console: Console, figures: Sequence[Figure]) -> None:
    failing = [figure.name for figure in figures if not figure.holds]
    console.print(f"{len(figures) - len(failing)} of {len(figures)} bars hold", end="")
    console.print(f"; below: {', '.join(failing)}" if failing else "", highlight=False)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _commit() -> str:
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=10).stdout.strip()
    except OSError:
        return "(not a git repository)"


def _machine() -> str:
    memory_gb = psutil.virtual_memory().total / 1e9
    versions = (
        f"Python {platform.python_version()}, gevent {gevent.__version__}, libzmq {zmq.zmq_version()}, "
        f"msgspec {msgspec.__version__}"
    )
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return f"{_processor()}, {os.cpu_count()} CPUs, {memory_gb:.0f} GB, {platform.system()}; {versions}; load {load}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
