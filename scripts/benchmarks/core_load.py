"""The coordinator's core alone, fed with messages: what a call costs it beside many queued calls and many workers.

    python -m scripts.benchmarks.core_load QUEUED WORKERS CALLS     prints the microseconds of CPU per call, as JSON

A process of its own for each case, so that no case pays for another one's memory. Every round, one worker reports all
that it held, a client submits as many calls, and the core dispatches. What the core takes is one figure, what it takes
to decode and encode the messages is another. Sockets and heartbeats are not counted.
"""

from __future__ import annotations

import json
import sys
import time

from actorq.config import CoordinatorSettings, WorkerSettings
from actorq.coordinator.core.machine import Coordinator
from actorq.policies.numbering import numbered_ids
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.records import SUCCESS, Call, CallSpec, Outcome

SETTINGS = CoordinatorSettings()
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
        self.core = Coordinator("coordinator", "epoch", SETTINGS, 0.0, 0.0)
        self.core_s = self.wire_s = 0.0
        """CPU that the core has taken, and that decoding and encoding have."""
        self._now_s = self._beat_s = 0.0
        self._packer, self._others = frames.Packer(), frames.Packer()
        self._submissions = 0
        self._new_id = numbered_ids("0123456789abcdef")
        self._reports = dict.fromkeys(range(2, workers + 2), 0)
        """Reports by the worker's peer."""
        self._held: dict[int, list[Call]] = {peer: [] for peer in self._reports}
        versions = (m.OLDEST_VERSION, m.PROTOCOL_VERSION)
        self._step((CLIENT_PEER, m.ClientHello(versions, "1", "client", "session", "tcp://127.0.0.1:1")))
        self._specs = [(1, CallSpec("add"))]
        for _ in range((queued + workers * SLOTS) // SLOTS):
            self._step((CLIENT_PEER, self._submission()))
        for peer in self._reports:
            name = f"worker-{peer}"
            self._step((peer, m.WorkerHello(versions, "1", name, name, ["default"], ["add"], SLOTS, SLOTS)))

    def run(self, calls: int) -> None:
        """Submit, dispatch and settle so many."""
        rounds = 0
        while True:
            for peer in self._reports:
                if rounds * SLOTS >= calls:
                    return
                rounds += 1
                self._step((CLIENT_PEER, self._submission()), (peer, self._report(peer)))

    def _step(self, *messages: tuple[int, m.Message]) -> None:
        """One batch, as the coordinator gets it: these messages together."""
        core, pack, now_s = self.core, self._packer.pack, time.thread_time
        self._now_s += SLOTS / CALLS_PER_S
        arrived = [(peer, list(map(bytes, self._others.pack(message)))) for peer, message in messages]
        started_s = now_s()
        inbox = [(peer, frames.unpack(each, core.allowed(peer))) for peer, each in arrived]
        decoded_s = now_s()
        core.advance(self._now_s, self._now_s)
        for peer, message in inbox:
            core.receive(peer, message)
        effects = core.finish()
        decided_s = now_s()
        leaving = [(peer, pack(message)) for peer, sends in effects.sends.items() for message in sends]
        encoded_s = now_s()
        self.core_s += decided_s - decoded_s
        self.wire_s += decoded_s - started_s + encoded_s - decided_s
        del leaving
        for peer, sends in effects.sends.items():
            for message in sends:
                if isinstance(message, m.Deliver):
                    self._held[peer] += message.calls
        self._beat()

    def _beat(self) -> None:
        """Workers that are not heard from get nothing."""
        if self._now_s - self._beat_s >= HEARTBEAT_S:
            self._beat_s = self._now_s
            for peer in self._reports:
                self.core.receive(peer, m.Heartbeat(self._now_s, 0.0, []))
            self.core.finish()

    def _submission(self) -> m.Submit:
        self._submissions += 1
        calls = [Call(self._new_id(), 1, b"\x92\x92\x01\x02\x80") for _ in range(SLOTS)]
        return m.Submit(self._submissions, self._specs if self._submissions == 1 else [], calls)

    def _report(self, peer: int) -> m.Finished:
        self._reports[peer] += 1
        held, self._held[peer] = self._held[peer], []
        outcomes = [Outcome(call.id, call.attempt, SUCCESS, RESULT) for call in held]
        return m.Finished(self._reports[peer], outcomes)


def main(queued: int, workers: int, calls: int) -> None:
    """Print what a call takes, once as many outcomes are kept as ever will be."""
    load = Load(queued, workers)
    load.run(SETTINGS.outcome_count)
    core_s, wire_s, before = load.core_s, load.wire_s, load.core.stats()
    load.run(calls)
    stats = load.core.stats()
    done = stats["settled"] - before["settled"]
    if done < calls or stats["late_reports"]:
        raise SystemExit(f"{done} calls of {calls} settled, {stats['late_reports']} late: the load is wrong")
    print(json.dumps({"core_us": (load.core_s - core_s) / done * 1e6, "wire_us": (load.wire_s - wire_s) / done * 1e6}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
