"""Many runs, over all processors: `scripts/sim`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.bisection import needed_kinds
from tests.simulation.mesh import Result, run_seed

REPLAY_EVERY = 50
"""Every so many seeds one is run twice: both runs must be the same."""


ENOUGH = 20
"""Violations, after which even `--keep-going` does not."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 1 if an invariant was violated."""
    parser = argparse.ArgumentParser(prog="scripts/sim", description="Simulate the mesh, with faults, from seeds.")
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--first", type=int, default=1, help="the first one (default: 1)")
    parser.add_argument("--seed", type=int, help="only this one, with the story of the call if something is violated")
    parser.add_argument("--without", default="", help="kinds to leave out of that one, with commas: as it was printed")
    parser.add_argument("--whole", action="store_true", help="do not look which kinds it takes to fail")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one per processor)")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first violation")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return show(options.seed, list(filter(None, options.without.split(","))), options.whole)
    return run_many(range(options.first, options.first + options.seeds), options.jobs, options.keep_going)


def show(seed: int, without: Sequence[str] = (), is_whole: bool = False) -> int:
    """Run one seed. If something is violated, tell the story of a run that has only what it takes for that."""
    result = run_seed(seed, is_traced=True, without=without)
    if result.violation is not None and not is_whole and not without:
        needed = needed_kinds(result)
        without = [each for each in result.kinds if each not in needed]
        result = run_seed(seed, is_traced=True, without=without)
    for line in result.story:
        say(line)
    say(
        f"seed {seed}: {result.events} events, {result.calls} calls, {result.virtual_s:.0f} s, hash {result.digest:08x}"
    )
    say(f"what could happen: {', '.join(result.kinds) or 'nothing'}")
    if without:
        say(f"the same without all else: scripts/sim --seed {seed} --without '{','.join(without)}'")
    if result.violation is None:
        say("nothing is violated")
        return 0
    say(f"VIOLATED {result.violation}")
    return 1


def run_many(seeds: range, jobs: int, keep_going: bool) -> int:
    """Run all seeds, and print what was found and how much was done."""
    started_s = time.monotonic()
    done, events, calls, virtual_s = 0, 0, 0, 0.0
    counts: Counter[str] = Counter()
    failed: list[int] = []
    for result in _results(seeds, jobs):
        done += 1
        events += result.events
        calls += result.calls
        virtual_s += result.virtual_s
        counts += result.counts
        if result.violation is not None:
            failed.append(result.seed)
            say(f"seed {result.seed}: VIOLATED {str(result.violation)[:300]}")
            say(f"    replay it with: scripts/sim --seed {result.seed}")
            if not keep_going or len(failed) == ENOUGH:
                break
    took_s = time.monotonic() - started_s
    say(f"{done} seeds, {calls} calls, {virtual_s / 3600:.1f} simulated hours in {took_s:.1f} s")
    say(f"{events} events, {events / took_s:,.0f} per second; every {REPLAY_EVERY}th seed was run twice")
    say("faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items())))
    say(f"violated: {len(failed)} {failed or ''}")
    return 1 if failed else 0


def _results(seeds: range, jobs: int) -> Iterator[Result]:
    if jobs <= 1:
        yield from map(run_and_replay, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(run_and_replay, seeds, chunksize=10)
        pool.shutdown(cancel_futures=True)


def run_and_replay(seed: int) -> Result:
    """Run a seed; every now and then, twice."""
    result = run_seed(seed)
    if seed % REPLAY_EVERY == 0:
        again = run_seed(seed)
        if (again.digest, again.events) != (result.digest, result.events):
            raise RuntimeError(f"seed {seed} does not replay: something depends on more than the seed")
    return result


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # What breaks on purpose is no news.
    sys.exit(main())
