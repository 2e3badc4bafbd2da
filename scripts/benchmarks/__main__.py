"""The command behind `scripts/bench`."""

from __future__ import annotations

import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from scripts.benchmarks import report
from scripts.benchmarks.figure import BenchmarkError, Figure
from scripts.benchmarks.suite import BENCHMARKS, QUESTIONS

_NAMES = "\n".join(f"  {name:20}{question}" for name, question in QUESTIONS.items())
PIPED_WIDTH = 120
HELP = f"""Measure actorq beside the ceiling: the same pipeline without semantics, and bare ZeroMQ. NAMES choose some of
these; without, all are measured:

\b
{_NAMES}

The sides take turns within one run, and a ratio of medians is what counts: absolute figures drift with the machine.
Each figure has a bar, for its ratio or its value. Bars are reported, not enforced: the exit status is 1 only if
something could not be measured.

JSON: a list of {{"name", "value", "unit", "reference", "ratio", "bar", "holds"}}. `ratio` is value / reference; `bar`
is the bound of the ratio or of the value, as the table says.
"""


@click.command("bench", help=HELP)
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)), metavar="[NAME]...")
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Also write them to a file.")
@click.option("--quick", is_flag=True, help="Smaller sizes and fewer turns: rough figures in about a minute.")
def bench(names: tuple[str, ...], json_path: Path | None, quick: bool) -> None:
    """Measure, and report."""
    signal.signal(signal.SIGTERM, _end)
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    figures: list[Figure] = []
    failed: list[str] = []
    for name in names or BENCHMARKS:
        console.print(f"[dim]== {name}: {QUESTIONS[name]}[/]", highlight=False)
        try:
            figures.append(BENCHMARKS[name](quick))
        except BenchmarkError as error:
            failed.append(name)
            console.print(f"{name} could not be measured: {error}", style="red", highlight=False, markup=False)
        except Exception:
            failed.append(name)
            console.print(f"{name} could not be measured:\n{traceback.format_exc()}", style="red", markup=False)
    if figures:
        report.show(console, figures)
    if json_path is not None:
        report.write_json(json_path, figures)
    if failed:
        console.print(f"could not be measured: {', '.join(failed)}", style="red")
        sys.exit(1)


def _end(number: int, frame: FrameType | None) -> None:
    """End what was started, too."""
    sys.exit(128 + number)


if __name__ == "__main__":
    bench(prog_name="scripts/bench")
