"""A store's thread: writes what waits, in groups, while its owner goes on.

The owner hands over batches under ascending tokens, and looks at `confirmed` and `trouble` when it is woken.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from actorq import native
from actorq.stores.api import KeepRevocations, KeepStarts, Operation, Store
from actorq.stores.groups import Groups

logger = logging.getLogger("actorq.stores")

PATIENCE_S = 0.008
"""Between the first operation and the write. A short call settles in that time: one write, not two; and the thread
does not want the interpreter in the middle of its way."""
HURRIED = (KeepStarts, KeepRevocations)
"""Somebody waits for these: they are written at once, with all that has come before."""
RETRY_MIN_S, RETRY_MAX_S = 0.1, 2.0
"""Pause before a failed write is repeated: doubled each time."""
REST_AFTER_S = 1.0
"""Without anything to write for so long, the store may do its housekeeping."""
REST_EVERY_S = 10.0
"""It may do so this often, too, if there is always something to write."""


class Journal:
    """Group commit on a native thread. The methods are for the owner's thread, and none of them waits but `close`.

    `wake` is called from the thread whenever `confirmed` or `trouble` has changed.
    """

    def __init__(self, store: Store, wake: Callable[[], None], patience_s: float = PATIENCE_S) -> None:
        self.trouble = ""
        """Why nothing can be written at present, if so; it is tried again and again."""
        self._store = store
        self._groups = Groups(store)
        self._wake = wake
        self._patience_s = patience_s
        self._bell = native.NativeBell()
        self._is_asleep = self._is_hurried = False
        self._give_up_s = float("inf")
        """When to end although not all is written, once it is to end."""
        self._rest_s = time.monotonic() + REST_EVERY_S
        """When the store is to do its housekeeping, even if there is always something to write."""
        self._has_to_rest = True
        self._ended = native.new_lock()
        self._ended.acquire()
        native.start_thread(self._run)

    @property
    def confirmed(self) -> int:
        """All batches up to this token are durable."""
        return self._groups.confirmed

    def write(self, token: int, operations: Sequence[Operation]) -> None:
        """Have a batch written."""
        self._groups.add(token, operations)
        is_hurried = any(isinstance(operation, HURRIED) for operation in operations)
        if is_hurried:
            self._is_hurried = True
        if is_hurried or self._is_asleep:
            self._bell.ring()

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write what waits, within the time, and let go of the store. Returns whether all is written."""
        self._give_up_s = time.monotonic() + timeout_s
        self._bell.ring()
        has_ended: bool = self._ended.acquire(True, timeout_s + RETRY_MAX_S)
        if has_ended:
            self._ended.release()
        return has_ended and not self._groups

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._await_work() and self._write():
                pass
            self._store.close()
        except BaseException:
            logger.exception("the journal's thread has failed: nothing is confirmed any more")
            self._tell("the journal's thread has failed, its log says why: start the coordinator again")
        finally:
            self._ended.release()

    def _is_closing(self) -> bool:
        return self._give_up_s != float("inf")

    def _await_work(self) -> bool:
        """Wait until there is something to write, and a moment longer. False: this is the end."""
        while not self._groups:
            if self._is_closing():
                return False
            self._is_asleep = True  # From here on, who adds something rings.
            if not self._groups and not self._bell.wait(REST_AFTER_S if self._has_to_rest else None):
                self._rest()
            self._is_asleep = False
        if self._is_closing():
            return time.monotonic() < self._give_up_s
        if time.monotonic() >= self._rest_s:
            self._rest()
        until_s = time.monotonic() + self._patience_s
        while not (self._groups.is_in_flood or self._is_hurried or self._is_closing()):
            if not self._bell.wait(until_s - time.monotonic()):
                break
        self._is_hurried = False
        return True

    def _rest(self) -> None:
        try:
            self._has_to_rest = self._store.rest()
        except Exception as error:
            self._has_to_rest = False
            logger.warning("the journal's housekeeping failed, and is tried again later: %r", error)
        self._rest_s = time.monotonic() + REST_EVERY_S

    def _write(self) -> bool:
        """Write a group, however often that fails. False: this is the end, and it still fails."""
        pause_s = RETRY_MIN_S
        while trouble := self._groups.write():
            if trouble != self.trouble:
                logger.error("%s. It is tried again; until then no calls are taken that are to be kept", trouble)
                self._tell(trouble)
            if time.monotonic() + pause_s >= self._give_up_s:
                return False
            native.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_MAX_S)
        self._has_to_rest = True
        if self.trouble:
            logger.warning("the journal can be written again")
        self._tell("")
        return True

    def _tell(self, trouble: str) -> None:
        self.trouble = trouble
        self._wake()
