"""The client of the ceiling's pipeline: users' threads append to an outbox, an I/O thread does the rest."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from typing import Any

import zmq

from scripts.benchmarks.ceiling.pipeline import BATCH, SUBMIT, decode, encode
from scripts.benchmarks.ceiling.sockets import NOBLOCK, drain, listen, open_socket
from scripts.benchmarks.figure import BenchmarkError

_NOTHING_YET = object()


class Pending:
    """A call whose result may come."""

    __slots__ = ("_settled", "value")

    def __init__(self, settled: threading.Condition) -> None:
        self._settled = settled
        self.value: Any = _NOTHING_YET

    def get(self, timeout_s: float = 60.0) -> Any:
        """The result. Raises BenchmarkError if it does not come in time."""
        if self.value is _NOTHING_YET:
            deadline_s = time.monotonic() + timeout_s
            with self._settled:
                while self.value is _NOTHING_YET:
                    if not self._settled.wait(deadline_s - time.monotonic()):
                        raise BenchmarkError(f"the ceiling gave no result within {timeout_s:g} s")
        return self.value


class Client:
    """One session. To be used by one thread."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._reply_address = ""
        self._context: zmq.Context[Any] = zmq.Context(1)
        self._outbox: deque[Any] = deque()
        self._pending: dict[str, Pending] = {}
        self._settled = threading.Condition()
        self._prefix = os.urandom(8).hex()
        self._number = itertools.count().__next__
        self._asleep = True
        self._ends = False
        self._bell = self._context.socket(zmq.PAIR)
        self._bell.bind("inproc://bell")
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def submit(self, task: str, *args: Any) -> Pending:
        """Send a call; it leaves with those that are submitted at the same time."""
        call_id = f"{self._prefix}{self._number():x}"
        pending = self._pending[call_id] = Pending(self._settled)
        self._outbox.append((call_id, task, encode((args, {})), self._reply_address))
        if self._asleep:
            self._asleep = False
            self._bell.send(b"", NOBLOCK)
        return pending

    def close(self) -> None:
        """End the session; results that have not come never will."""
        self._ends = True
        self._bell.send(b"", NOBLOCK)
        self._thread.join(5)
        self._context.destroy(0)

    def _run(self, started: threading.Event) -> None:
        socket = open_socket(self._context, zmq.DEALER)
        socket.connect(self._address)
        replies = open_socket(self._context, zmq.PULL)
        self._reply_address = listen(replies)
        bell = self._context.socket(zmq.PAIR)
        bell.connect("inproc://bell")
        poller = zmq.Poller()
        poller.register(bell, zmq.POLLIN)
        poller.register(replies, zmq.POLLIN)
        started.set()
        outbox, pending = self._outbox, self._pending
        while not self._ends:
            poller.poll(0 if outbox else None)  # Whoever appended while we were awake has not rung.
            drain(bell)
            while outbox:
                batch = [outbox.popleft() for _ in range(min(len(outbox), BATCH))]
                socket.send_multipart([SUBMIT, encode(batch)])
            self._asleep = True
            for (payload,) in drain(replies):
                for call_id, result in decode(payload):
                    pending.pop(call_id).value = decode(result)
            with self._settled:
                self._settled.notify_all()
