"""Fuzz for long, over all processors: `scripts/fuzz`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.fuzzing import processes
from tests.fuzzing.engine import Report, fuzz, play
from tests.fuzzing.targets import TARGETS

NAMES = sorted([*TARGETS, processes.NAME])
SLICE_S = 20.0
"""How long one process works on one target, with one seed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Feed every part what hostile peers may send.")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long, with all targets (default: 1)")
    parser.add_argument("--seed", type=int, default=None, help="the first one (default: another one each time)")
    parser.add_argument("--target", choices=NAMES, help="only this one")
    parser.add_argument("--tape", help="play this tape, in hexadecimal")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per processor)")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # What strangers are told off for is no news here.
    if options.tape is not None:
        if options.target not in TARGETS:
            parser.error(f"--tape needs --target, one of {', '.join(sorted(TARGETS))}")
        return replay(options.target, bytes.fromhex(options.tape))
    seed = int(time.time()) if options.seed is None else options.seed
    names = [options.target] if options.target else NAMES
    return run(names, seed, options.minutes * 60, options.jobs)


def replay(name: str, tape: bytes) -> int:
    """Play one tape, and show what it breaks."""
    finding = play(TARGETS[name], tape)
    say(finding.story if finding else "no promise is broken")
    return 1 if finding else 0


def run(names: Sequence[str], seed: int, seconds: float, jobs: int) -> int:
    """Fuzz these targets in turns, with one seed after the other, until the time is over."""
    say(f"seeds from {seed}")
    slices = max(round(seconds * jobs / SLICE_S), len(names))
    slice_s = min(SLICE_S, seconds * jobs / slices)
    work = [(names[number % len(names)], seed + number // len(names), slice_s) for number in range(slices)]
    totals: dict[str, Report] = {}
    found: set[str] = set()
    with ProcessPoolExecutor(jobs, initializer=logging.disable, initargs=(logging.CRITICAL,)) as pool:
        for name, report in pool.map(_fuzz_slice, work):
            total = totals.setdefault(name, Report())
            total.executions += report.executions
            total.took_s += report.took_s
            if report.slowest_s > total.slowest_s:
                total.slowest_s, total.slowest = report.slowest_s, report.slowest
            total.lines, total.kept = max(total.lines, report.lines), max(total.kept, report.kept)
            for finding in report.findings:
                place = finding.story.splitlines()[-1 if finding.tape else 0]
                if place not in found:
                    found.add(place)
                    say(f"FOUND in {name}:\n{finding}")
    for name, total in totals.items():
        rate = total.executions / total.took_s
        reached = f", {total.lines} lines reached" if total.lines else ""
        say(f"{name}: {total.executions:,} executions, {rate:,.0f} per second and process{reached}")
        if total.slowest:
            say(f"    the slowest took {total.slowest_s * 1000:.0f} ms of CPU: --tape {total.slowest.hex()}")
    say(f"found: {len(found)}")
    return 1 if found else 0


def _fuzz_slice(work: tuple[str, int, float]) -> tuple[str, Report]:
    name, seed, seconds = work
    if name == processes.NAME:
        return name, processes.run(seed, seconds=seconds)
    return name, fuzz(TARGETS[name], seed, seconds=seconds)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
