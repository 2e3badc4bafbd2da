"""Scenarios by hand, in their full size: `scripts/faults`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from tests.cluster.hosts import HostsError
from tests.cluster.run import reason_not_to_run, run
from tests.cluster.scenarios import ALL, BY_NAME, Scenario, Size

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 if the mesh kept its promises, 1 if not, 2 if a scenario cannot run."""
    listed = "\n".join(f"  {scenario.name:<12}{scenario.text}" for scenario in ALL)
    parser = argparse.ArgumentParser(
        prog="scripts/faults",
        description="Run a mesh of real processes on several hosts (network namespaces; as root), with faults. "
        "A key file that ACTORQ_KEY names is used by all of them.",
        epilog=f"scenarios:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", choices=list(BY_NAME), help="which one")
    parser.add_argument("--small", action="store_true", help="the size that tests have")
    parser.add_argument("--calls", type=int, help="how many calls, by all clients")
    parser.add_argument("--tail", type=float, metavar="S", help="for how long the load goes on after the last fault")
    parser.add_argument("--work", type=float, metavar="S", help="how long each call takes")
    parser.add_argument("--faults", type=int, help="how many faults")
    parser.add_argument("--kinds", help="only these kinds of faults, with commas between")
    parser.add_argument("--loss", type=float, help="share of the packets that is lost")
    parser.add_argument("--delay", type=float, metavar="MS", help="how long packets take; needs a kernel with netem")
    parser.add_argument("--rate", type=float, metavar="MBIT", help="how much each host can send in a second")
    parser.add_argument("--seed", type=int, help="the plan of an earlier run")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the results there as well")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="leave histories, journals and logs there")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that hosts and processes are removed.
    scenario = _scenario(BY_NAME[options.scenario], options)
    reason = reason_not_to_run(scenario)
    if reason:
        say(f"cannot run here: {reason}")
        return 2
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(3), "big")
    if options.keep:
        options.keep.mkdir(parents=True)
        return _run(scenario, options, seed, options.keep)
    with tempfile.TemporaryDirectory(prefix="actorq-faults-") as directory:
        return _run(scenario, options, seed, Path(directory))


def _run(scenario: Scenario, options: argparse.Namespace, seed: int, directory: Path) -> int:
    size = _size(scenario, options)
    say(f"{scenario.name}: {size.calls:,} calls, seed {seed}")
    started_s = time.monotonic()
    try:
        report = run(scenario, size, seed, directory, say)
    except HostsError as error:
        say(f"cannot run here: {error}")
        return 2
    say(report.table())
    say(f"took {time.monotonic() - started_s:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(report.to_json(), indent=1) + "\n")
    return 1 if report.violations() or report.shortfalls() else 0


def _scenario(scenario: Scenario, options: argparse.Namespace) -> Scenario:
    kinds = None if options.kinds is None else tuple(each.strip() for each in options.kinds.split(",") if each.strip())
    return _changed(scenario, kinds=kinds, loss=options.loss, delay_ms=options.delay, rate_mbit=options.rate)


def _size(scenario: Scenario, options: argparse.Namespace) -> Size:
    size = scenario.small if options.small else scenario.full
    timing = _changed(size.timing, tail_s=options.tail)
    return _changed(size, calls=options.calls, faults=options.faults, work_s=options.work, timing=timing)


def _changed(value: T, **changes: object) -> T:
    """The same, but for what was said."""
    said = {name: change for name, change in changes.items() if change is not None}
    return dataclasses.replace(value, **said)  # type: ignore[type-var]


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
