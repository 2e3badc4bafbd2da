"""A client of a scenario, as a process: submits its share of the calls and writes down what becomes of them.

A client that waits ends when each of its calls has settled; one that leaves, when each was accepted.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from actorq.errors import OperationalError
from actorq.tasks.result import AsyncResult
from tests.cluster.ledger import Ledger
from tests.cluster.tasks import app, value_of, work

CHUNK = 512
SWEEP_S = 0.05

logger = logging.getLogger("tests.cluster.load")


class Client:
    """Submits the calls from `first` on, evenly over `duration_s` (0: as fast as they are taken)."""

    def __init__(self, ledger: Ledger, first: int, count: int, duration_s: float, work_s: float, window: int) -> None:
        self.ledger = ledger
        self.first = first
        self.count = count
        self.duration_s = duration_s
        self.work_s = work_s
        self.window = window
        self.sent = 0
        self.open: list[tuple[int, AsyncResult[int]]] = []
        """Calls that have not settled, as far as was seen."""
        self._started_s = time.monotonic()

    def run_and_wait(self) -> None:
        """Submit all calls, and wait until each has settled."""
        swept_s = 0.0
        while self.sent < self.count or self.open:
            submitted = self._submit_chunk(self.window - len(self.open))
            now_s = time.monotonic()
            if now_s - swept_s >= SWEEP_S:
                swept_s = now_s
                self._sweep()
            if not submitted:
                time.sleep(SWEEP_S / 5)

    def run_and_leave(self) -> None:
        """Submit all calls, and return as soon as all are accepted."""
        while self.sent < self.count:
            if not self._submit_chunk(self.window):
                time.sleep(SWEEP_S / 5)
            if len(self.open) >= self.window or self.sent == self.count:
                is_accepted = app.session.flush(None)
                self.ledger.write("accepted" if is_accepted else "unknown", [number for number, _ in self.open])
                self.open.clear()

    def _submit_chunk(self, limit: int) -> int:
        due = self.count
        if self.duration_s:
            due = min(self.count, int((time.monotonic() - self._started_s) / self.duration_s * self.count) + 1)
        numbers = range(self.first + self.sent, self.first + min(due, self.sent + min(CHUNK, limit)))
        if not numbers:
            return 0
        self.ledger.write("attempted", numbers)
        self.ledger.write("unknown", self._submit(numbers))
        self.sent += len(numbers)
        return len(numbers)

    def _submit(self, numbers: range) -> list[int]:
        """Returns those that the mesh did not take in time."""
        opened, refused = [], []
        for number in numbers:
            try:
                opened.append((number, work.delay(number, self.work_s)))
            except OperationalError as error:
                logger.warning("call %d: %s", number, error)
                refused.append(number)
        self.open += opened
        return refused

    def _sweep(self) -> None:
        """Note what has settled since the last time."""
        settled: list[tuple[int, AsyncResult[int]]] = []
        still: list[tuple[int, AsyncResult[int]]] = []
        for each in self.open:  # Looked at once each: some settle meanwhile.
            (still if each[1].outcome is None else settled).append(each)
        self.open = still
        right, wrong = [], []
        for number, result in settled:
            value = result.get(propagate=False)
            if value == value_of(number):
                right.append(number)
            else:
                logger.warning("call %d has settled with %r", number, value)
                wrong.append(number)
        self.ledger.write("settled", right)
        self.ledger.write("wrong", wrong)


class WaitingClient(Client):
    """A client to which `delay()` is the promise: it keeps a call until that has settled."""

    def _submit(self, numbers: range) -> list[int]:
        refused = super()._submit(numbers)
        self.ledger.write("accepted", sorted(set(numbers) - set(refused)) if refused else numbers)
        return refused


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--history", type=Path, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--duration", type=float, default=0.0)
    parser.add_argument("--work", type=float, default=0.0)
    parser.add_argument("--window", type=int, default=10_000)
    parser.add_argument("--leave", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    kind = Client if options.leave else WaitingClient
    client = kind(
        Ledger(options.history, options.name),
        options.first,
        options.count,
        options.duration,
        options.work,
        options.window,
    )
    if options.leave:
        client.run_and_leave()
    else:
        client.run_and_wait()
    app.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
