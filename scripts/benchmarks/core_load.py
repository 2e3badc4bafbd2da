"""The coordinator's core alone, fed with messages: what a call costs it while many are queued and many workers are there.

    python -m scripts.benchmarks.core_load QUEUED WORKERS CALLS     prints the microseconds per call

A process of its own for each case, so that no case pays for another one's memory. Every round, one worker reports all
that it held, a client submits as many calls, and the core dispatches. Decoding, sockets and heartbeats are not counted.
"""

from __future__ import annotations

import sys
import time

from actorq.config import CoordinatorSettings, WorkerSettings
from actorq.coordinator.core.machine import Coordinator
from actorq.wire import messages as m

SLOTS = WorkerSettings().concurrency
"""Calls that a worker holds, and calls in a message."""
CALLS_PER_S = 200_000
"""How fast the clock of the core goes: as if it handled so many."""
HEARTBEAT_S = 1.0
CLIENT_PEER = 1
RESULT = b"\x01"


class Load:
    """A coordinator with a client that submits and workers that finish at once."""

    def __init__(self, queued: int, workers: int) -> None:
        self.core = Coordinator("coordinator", "epoch", CoordinatorSettings(client_window=2**31), 0.0, 0.0)
        self._now_s = self._beat_s = 0.0
        self._submissions = self._ids = 0
        self._reports = dict.fromkeys(range(2, workers + 2), 0)
        """Reports by the worker's peer."""
        self._held: dict[int, list[m.Call]] = {peer: [] for peer in self._reports}
        versions = (m.OLDEST_VERSION, m.PROTOCOL_VERSION)
        self.core.receive(CLIENT_PEER, m.ClientHello(versions, "1", "client", "session", "tcp://127.0.0.1:1"))
        self._specs = [(1, m.CallSpec("add"))]
        for _ in range((queued + workers * SLOTS) // SLOTS):
            self._step(self._submission(), None)
        for peer in self._reports:
            name = f"worker-{peer}"
            self.core.receive(peer, m.WorkerHello(versions, "1", name, name, ["default"], ["add"], SLOTS, SLOTS))
            self._step(None, None)

    def run(self, calls: int) -> float:
        """Submit, dispatch and settle so many. Returns the seconds that this took."""
        taken_s, rounds = 0.0, 0
        while True:
            for peer in self._reports:
                if rounds * SLOTS >= calls:
                    return taken_s
                rounds += 1
                taken_s += self._step(self._submission(), self._report(peer))

    def _step(self, submission: m.Submit | None, report: tuple[int, m.Finished] | None) -> float:
        self._now_s += SLOTS / CALLS_PER_S
        core = self.core
        started_s = time.thread_time()
        core.advance(self._now_s, self._now_s)
        if report is not None:
            core.receive(*report)
        if submission is not None:
            core.receive(CLIENT_PEER, submission)
        effects = core.finish()
        taken_s = time.thread_time() - started_s
        for peer, messages in effects.sends.items():
            for message in messages:
                if isinstance(message, m.Deliver):
                    self._held[peer] += message.calls
        self._beat()
        return taken_s

    def _beat(self) -> None:
        """Workers that are not heard from get nothing."""
        if self._now_s - self._beat_s >= HEARTBEAT_S:
            self._beat_s = self._now_s
            for peer in self._reports:
                self.core.receive(peer, m.Heartbeat(self._now_s, 0.0, []))
            self.core.finish()

    def _submission(self) -> m.Submit:
        self._submissions += 1
        first, self._ids = self._ids, self._ids + SLOTS
        calls = [m.Call(f"0123456789abcdef{number:x}", 1, b"\x92\x92\x01\x02\x80") for number in range(first, self._ids)]
        return m.Submit(self._submissions, self._specs if self._submissions == 1 else [], calls)

    def _report(self, peer: int) -> tuple[int, m.Finished]:
        self._reports[peer] += 1
        held, self._held[peer] = self._held[peer], []
        outcomes = [m.Outcome(call.id, call.attempt, m.SUCCESS, RESULT) for call in held]
        return peer, m.Finished(self._reports[peer], outcomes)


def main(queued: int, workers: int, calls: int) -> None:
    """Print the microseconds per call, once as many outcomes are kept as ever will be."""
    load = Load(queued, workers)
    load.run(load.core.settings.outcome_count)
    settled = load.core.settled_count
    taken_s = load.run(calls)
    done = load.core.settled_count - settled
    if done < calls or load.core.late_reports:
        raise SystemExit(f"{done} calls of {calls} settled, {load.core.late_reports} late: the load is wrong")
    print(f"{taken_s / done * 1e6:.3f} µs per call")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
