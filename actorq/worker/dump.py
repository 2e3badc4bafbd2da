"""What a node is doing, written to its log at SIGUSR1: every native thread, running call and greenlet, with stacks.

The stack of the main thread is written by C code, also when it does not come back to the interpreter; the rest when it
does. Only then the other threads stand still: to read their stacks while they run can crash the process.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from types import FrameType

from gevent.util import format_run_info

from actorq.worker.base import Pool

DUMP_SIGNAL = signal.SIGUSR1


def dump_main_thread_at_signal() -> None:
    """From now on. `dump_all_at_signal` adds to it."""
    faulthandler.register(DUMP_SIGNAL, all_threads=False)


def dump_all_at_signal(pool: Pool) -> None:
    """From now on. On the main thread."""

    def dump(number: int, frame: FrameType | None) -> None:
        faulthandler.dump_traceback(2, all_threads=True)  # Whatever a task has put in the place of `sys.stderr`.
        write("\n".join([*_calls(pool), *format_run_info(thread_stacks=False), "end of the dump", ""]))

    faulthandler.unregister(DUMP_SIGNAL)
    signal.signal(DUMP_SIGNAL, dump)
    faulthandler.register(DUMP_SIGNAL, all_threads=False, chain=True)


def write(text: str) -> None:
    """To standard error, at once: a lock of `logging` may be held by what was interrupted."""
    data = text.encode(errors="replace")
    while data:
        data = data[os.write(2, data) :]


def _calls(pool: Pool) -> list[str]:
    now_s = time.monotonic()
    return [
        f"Task {run.spec.task}[{run.call.id}] has run for {now_s - run.started_s:.1f} s. {pool.stack_of(run)}"
        for run in pool.running()
    ]
