"""The session of this process with a mesh: a native thread that owns the sockets, whatever kind of program it is in.

User threads, greenlets and coroutines only append to the core's outbox and ring the thread's bell if it sleeps. A
session belongs to the process that made it; after a fork, the child makes its own.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
import socket
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from actorq import ids, native
from actorq.client.bells import new_bell, stepping_aside
from actorq.client.callbacks import Callbacks
from actorq.client.checks import check_spec, checked_order, deadline
from actorq.client.core import Ask, Client, LookUp, Order, Watch
from actorq.client.pending import Failures, Pending, failed
from actorq.config import ClientSettings
from actorq.errors import ImproperlyConfigured, NotPermitted, OperationalError, ProtocolError, TimeoutError
from actorq.native import Bell
from actorq.policies.addresses import check_connecting
from actorq.policies.numbering import numbered_ids
from actorq.transport import Down, Event, Link, LinkKeys, Received, ThreadWaiter, Up
from actorq.transport.addresses import check_to_dial
from actorq.transport.routes import host_towards
from actorq.wire import frames
from actorq.wire.messages import Message, Replies, Results, Told
from actorq.wire.payload import encode_failure
from actorq.wire.records import Call, CallSpec, Note, Outcome, Plan

logger = logging.getLogger("actorq.client")

SPEC_LIMIT = 50_000
BLOB_FRAMES_FROM = 2
"""A message has two frames, and one more for each large body."""


class Route:
    """How calls with one spec are sent in a session."""

    __slots__ = ("encode_call", "number", "session", "spec", "wait")

    def __init__(
        self,
        session: Session,
        spec: CallSpec,
        number: int,
        encode_call: Callable[[Sequence[Any], dict[str, Any]], bytes],
    ) -> None:
        self.session = session
        self.spec = spec
        self.number = number
        self.encode_call = encode_call
        self.wait = not spec.ignore_result


class Session:
    """Submits calls and hears of their outcomes. Thread-safe."""

    def __init__(
        self,
        addresses: Sequence[str],
        settings: ClientSettings | None = None,
        keys: LinkKeys | None = None,
        insecure: bool = False,
    ) -> None:
        self.addresses = tuple(addresses)
        check_connecting(self.addresses, keys is not None, insecure)
        self._keys = keys
        for address in self.addresses:
            check_to_dial(address)
        self.settings = replace(settings or ClientSettings(), loopback_only=not (keys or insecure))
        self.new_id = numbered_ids(ids.random_id())
        self.callbacks = Callbacks()
        self.is_over = False
        """Closed, failed, or left behind by a fork: not to be used any more."""
        self._has_ended = False
        """The session's thread does nothing any more."""
        self._expects_large_bodies = False
        self._code_bytes = 0
        self._lock = native.new_lock()
        self._numbers: dict[CallSpec, int] = {}
        self._tokens = itertools.count(1).__next__
        self._answers: dict[int, tuple[list[Any], Callable[[], None]]] = {}
        self._opened: list[Callable[[], None]] = []
        self._roomy: list[Callable[[], None]] = []
        self._failing: list[Callable[[], None]] = []
        self._packer = frames.Packer()
        self._peer = 0
        self._ended = native.new_lock()
        self._ended.acquire()
        self._failure: BaseException | None = None
        self._start()

    def _start(self) -> None:
        """Have `_link` and `core`, and somebody who runs `_turn`."""
        started = native.new_lock()
        started.acquire()
        native.start_thread(lambda: self._run(started))
        started.acquire()
        os.register_at_fork(after_in_child=_end_of(weakref.ref(self)))
        if self._failure is not None:
            raise self._failure

    # -- for users' threads --------------------------------------------------------------------------------------

    def now_s(self) -> float:
        """The monotonic time, by which the waits are measured."""
        return time.monotonic()

    def wall_s(self) -> float:
        """Unix time, by which the mesh knows when a call may start and has expired."""
        return time.time()

    def new_bell(self) -> Bell:
        """What the caller, a thread or greenlet, waits with for something of the mesh."""
        return new_bell()

    def number(self, spec: CallSpec) -> int:
        """The session's number for a spec. The same for equal specs. Raises ImproperlyConfigured."""
        number = self._numbers.get(spec)
        if number is None:
            check_spec(spec)
            with self._lock:
                number = self._numbers.get(spec)
                if number is None:
                    number = len(self._numbers) + 1
                    if number > SPEC_LIMIT:
                        raise ImproperlyConfigured(
                            f"this program uses more than {SPEC_LIMIT:,} different combinations of task and options: "
                            f"use fewer different time limits, queues and functions by value"
                        )
                    self.core.specs.append((number, spec))
                    self._numbers[spec] = number
        return number

    def expect_large_bodies(self) -> None:
        """A large body comes or goes: there will be more."""
        if not self._expects_large_bodies:
            self._expects_large_bodies = True
            if self.settings.kept_memory_bytes:
                native.keep_freed_memory(self.settings.kept_memory_bytes)

    def add_code(self, digest: str, blob: bytes) -> None:
        """Make a function by value available to the mesh, before the first call that names it.

        Raises ImproperlyConfigured if the session keeps too many.
        """
        with self._lock:
            if digest not in self.core.codes:
                limit_bytes = self.settings.code_bytes
                if self._code_bytes + len(blob) > limit_bytes:
                    raise ImproperlyConfigured(
                        f"the functions that this program sends by value have more than {limit_bytes:,} bytes together, "
                        f"with what they hold: pass large data as arguments, and do not make functions anew for each call"
                    )
                self._code_bytes += len(blob)
            self.core.codes[digest] = blob

    def submit(
        self, pending: Pending, call: Call, timeout_s: float | None, wait: bool = True, chosen_id: bool = False
    ) -> None:
        """Hand a call over. Blocks while the mesh is out of reach or takes no more, for `timeout_s` at the most.

        `wait`: whether its outcome is wanted. Raises OperationalError; the call will not run then.
        """
        core = self.core
        outbox = core.chosen if chosen_id else core.outbox
        if not core.is_open or core.unaccepted_count + len(outbox) >= core.room:
            self._wait_for_room(timeout_s)
        if wait:
            if chosen_id:
                self._await_chosen(pending)
            else:
                core.pending[call.id] = pending
        outbox.append(call)
        if self._link.asleep:
            self._link.wake()
        if self._has_ended:  # Just now: nobody sends it any more.
            core.pending.pop(call.id, None)
            raise OperationalError(self._trouble(timeout_s))

    def submit_unique(self, pending: Pending, call: Call, timeout_s: float | None, wait: bool) -> str:
        """As `submit`, for a call with a unique key. Returns the id of the call that holds the key: this one, or another.

        Raises OperationalError if no coordinator says so within `timeout_s`; the call may run all the same then.
        """
        deadline_s, bell = deadline(timeout_s, self.now_s()), self.new_bell()
        known_as: list[str] = []
        self.core.uniques[call.id] = known_as, bell.ring
        try:
            self.submit(pending, call, timeout_s, wait, chosen_id=True)
            with stepping_aside():
                bell.wait(None if deadline_s is None else max(deadline_s - self.now_s(), 0.0))
        finally:
            self.core.uniques.pop(call.id, None)
        if not known_as:
            self.core.pending.pop(call.id, None)
            raise OperationalError(f"whether call {call.id} is unique was not heard: {self._trouble(timeout_s)}")
        return known_as[0]

    def submit_plan(self, plan: Plan, pendings: Sequence[Pending], timeout_s: float | None) -> None:
        """Hand a workflow over, as `submit` does a call. `pendings` are those of its calls whose `replies` is true."""
        core = self.core
        if not core.is_open or core.backlog() >= core.room:
            self._wait_for_room(timeout_s)
        for pending in pendings:
            pending.call = plan
            core.pending[pending.id] = pending
        core.plans.append(plan)
        self._link.wake()
        if self._has_ended:
            for pending in pendings:
                core.pending.pop(pending.id, None)
            raise OperationalError(self._trouble(timeout_s))

    def _await_chosen(self, pending: Pending) -> None:
        """Its id may be awaited here already: then that one stays, and this one hears of the outcome from it."""
        known = self.core.pending.setdefault(pending.id, pending)
        if known is not pending:
            if known.call is None and not known.is_settled():
                known.call = pending.call  # Was only watched; now it is ours to send again.
            self.subscribe(known, lambda: pending.settle(_outcome_of(known)))

    def watch(self, pending: Pending) -> Pending:
        """Have the outcome of a call sent here that may be another session's. Returns the one to wait for."""
        known = self.core.pending.setdefault(pending.id, pending)
        if known is pending:
            pending.call = None  # It is another session's, as after a fork: its numbers mean nothing here.
            self.core.requests.append(Watch(pending.id))
            self._link.wake()
        return known

    def wait(self, pending: Pending, timeout_s: float | None) -> bool:
        """Wait until the call has settled. False if the time was over first.

        Inside a task, its slot is free for other calls meanwhile.
        """
        return pending.is_settled() or self.wait_all([pending], timeout_s)

    def wait_all(self, pendings: Sequence[Pending], timeout_s: float | None, until_failure: bool = False) -> bool:
        """Wait until all of these have settled. False if the time was over first, or, with `until_failure`, if one of
        them has failed first.
        """
        deadline_s = deadline(timeout_s, self.now_s())
        bell = self.new_bell()
        if not until_failure:
            with stepping_aside():
                return self._wait_each(pendings, bell, deadline_s)
        with self._lock:
            self._failing.append(bell.ring)
        try:
            with stepping_aside():
                return self._wait_each(pendings, bell, deadline_s, Failures(self.core, pendings))
        finally:
            with self._lock:
                self._failing.remove(bell.ring)

    def subscribe(self, pending: Pending, notify: Callable[[], None]) -> Callable[[], None]:
        """Have `notify` called on the session's thread when the call settles; at once, here, if it has.

        Returns what takes that back.
        """
        with self._lock:
            if pending.waiters is None:
                pending.waiters = [notify]
            else:
                pending.waiters.append(notify)
        if pending.is_settled():
            pending.notify()
        elif self._has_ended:
            pending.fail(self._lost())
        return functools.partial(self._unsubscribe, pending, notify)

    def listen(self, task_id: str, listener: Callable[[Note], None]) -> Callable[[], None]:
        """Have `listener` called on the session's thread with what the task of a call that was submitted here says of
        itself. It must not raise. Returns what takes that back.
        """
        with self._lock:
            known = self.core.listeners.get(task_id, [])
            # A new list: the session's thread may go through the old.
            self.core.listeners[task_id] = [*known, listener]
        return functools.partial(self._unlisten, task_id, listener)

    def _unlisten(self, task_id: str, listener: Callable[[Note], None]) -> None:
        with self._lock:
            left = [each for each in self.core.listeners.get(task_id, ()) if each is not listener]
            if left:
                self.core.listeners[task_id] = left
            else:
                self.core.listeners.pop(task_id, None)

    def forget(self, task_id: str) -> None:
        """Wait for this call no more."""
        pending = self.core.pending.pop(task_id, None)
        if pending is not None:
            pending.call = None

    def look_up(self, task_ids: Sequence[str], timeout_s: float | None) -> LookUp:
        """What the coordinator knows of these calls."""
        answer: LookUp = self._ask(Ask(self._tokens(), task_ids), timeout_s)
        return answer

    def order(self, command: str, arguments: dict[str, Any], destination: Sequence[str], timeout_s: float) -> Replies:
        """Run a control command on nodes; returns when all have answered, or with the names of those who did not.

        Raises NotPermitted.
        """
        order = checked_order(self._tokens(), command, arguments, destination, timeout_s)
        answer: Replies = self._ask(order, timeout_s + self.settings.publish_timeout_s)
        if answer.refused:
            raise NotPermitted(answer.refused)
        return answer

    def post(self, command: str, arguments: dict[str, Any]) -> None:
        """Run a control command without waiting for the answer."""
        self.core.requests.append(checked_order(self._tokens(), command, arguments, (), 1.0))
        self._link.wake()

    def wait_open(self, timeout_s: float | None) -> None:
        """Wait until a coordinator has welcomed us. Raises OperationalError."""
        self._wait_until(lambda: self.core.is_open, self._opened, timeout_s)

    def flush(self, timeout_s: float | None) -> bool:
        """Wait until all calls are accepted. False if the time was over first."""
        try:
            self._wait_until(lambda: self.core.backlog() == 0, self._roomy, timeout_s)
        except OperationalError:
            return False
        return True

    @property
    def slots(self) -> int:
        """How many calls the mesh can run at once, as far as is known."""
        return self.core.slots

    @property
    def max_body_bytes(self) -> int:
        """The mesh's limit for the body of one call; 0 before it is known."""
        return self.core.max_body_bytes

    def close(self, timeout_s: float = 5.0) -> None:
        """Flush, within `timeout_s`, and end the session. What waits for results hears that it ended."""
        if self.is_over:
            return
        self.is_over = True
        if self.core.is_open:
            self.flush(timeout_s)
        self._link.stop()
        self._ended.acquire(True, timeout_s)

    # -- waiting -------------------------------------------------------------------------------------------------

    def _wait_each(
        self, pendings: Sequence[Pending], bell: Bell, deadline_s: float | None, failures: Failures | None = None
    ) -> bool:
        """From the last to the first: calls end about in order, so nearly all waits are for the last ones."""
        for pending in reversed(pendings):
            if pending.outcome is None and not pending.is_settled():
                unsubscribe = self.subscribe(pending, bell.ring)
                try:
                    while not pending.is_settled():
                        left_s = None if deadline_s is None else deadline_s - self.now_s()
                        if (left_s is not None and left_s <= 0) or (failures is not None and failures.has_come()):
                            return False
                        bell.wait(left_s)
                finally:
                    unsubscribe()
        return True

    def _unsubscribe(self, pending: Pending, notify: Callable[[], None]) -> None:
        if pending.waiters is not None:
            with suppress(ValueError):  # It was told meanwhile.
                pending.waiters.remove(notify)

    def _ask(self, request: Ask | Order, timeout_s: float | None) -> Any:
        self.wait_open(timeout_s if timeout_s is None else min(timeout_s, self.settings.publish_timeout_s))
        bell = self.new_bell()
        box: list[Any] = []
        self._answers[request.token] = (box, bell.ring)
        self.core.requests.append(request)
        self._link.wake()
        try:
            with stepping_aside():
                heard = self._has_ended or bell.wait(timeout_s)
            if not heard:
                raise TimeoutError(f"the coordinator did not answer within {timeout_s} s")
            if not box:
                raise OperationalError(self._trouble(timeout_s))
            if isinstance(box[0], Exception):
                raise box[0]
            return box[0]
        finally:
            self._answers.pop(request.token, None)

    def _wait_for_room(self, timeout_s: float | None) -> None:
        core = self.core
        if not core.is_open:
            self.wait_open(timeout_s)
        self._link.wake()
        self._wait_until(
            # Three quarters: not to be back here after the next call.
            lambda: core.unaccepted_count + len(core.outbox) + len(core.chosen) + len(core.plans) < core.room * 3 / 4,
            self._roomy,
            timeout_s,
        )

    def _wait_until(
        self, condition: Callable[[], bool], bells: list[Callable[[], None]], timeout_s: float | None
    ) -> None:
        deadline_s = deadline(timeout_s, self.now_s())
        bell = self.new_bell()
        with self._lock:
            bells.append(bell.ring)
        try:
            while not condition():
                left_s = None if deadline_s is None else deadline_s - self.now_s()
                if self._has_ended or (left_s is not None and left_s <= 0):
                    raise OperationalError(self._trouble(timeout_s))
                with stepping_aside():
                    bell.wait(left_s)
        finally:
            with self._lock:
                bells.remove(bell.ring)

    def _trouble(self, timeout_s: float | None) -> str:
        core = self.core
        tried = ", ".join(self.addresses)
        if self._failure is not None:
            return f"the session with {tried} has failed ({self._failure!r}); the next call begins another one"
        if self._has_ended:
            return "the session was closed"
        if core.rejection:
            return f"the coordinator at {tried} refused this client: {core.rejection}"
        if not core.is_open:
            return (
                f"no coordinator answered within {timeout_s} s (tried {tried}). Start one with 'actorq up' or "
                f"'actorq coordinator', or set ACTORQ_URL to where it runs"
            )
        reason = core.pressure or f"{core.backlog():,} calls wait to be accepted"
        return f"the mesh took no more calls within {timeout_s} s: {reason}"

    # -- the session's own thread --------------------------------------------------------------------------------

    def _run(self, started: Any) -> None:
        try:
            self._link = Link(ThreadWaiter(), self._turn, keys=self._keys)
            self.core = self._new_core(self._listen(f"tcp://{host_towards(self.addresses)}:*"))
        except BaseException as error:
            self._failure = error
            return
        finally:
            started.release()
        try:
            self._link.run()
        except BaseException as error:
            self._failure = error
            logger.critical("the session with the mesh has failed; the next call begins another one", exc_info=True)
        finally:
            self._end()

    def _new_core(self, reply_address: str) -> Client:
        name = f"client@{socket.gethostname()}:{os.getpid()}"
        key = "" if self._keys is None else self._keys.listener.public
        return Client(name, ids.random_id(), self.addresses, reply_address, self.settings, self.now_s(), key)

    def _listen(self, address: str) -> str:
        """As `Link.listen`; if that fails, the link is closed. One that is left open could not be collected later."""
        try:
            return self._link.listen(address)
        except BaseException:
            self._link.stop(0.0)
            raise

    def _turn(self, events: list[Event]) -> float | None:
        core, failures = self.core, self.core.failures
        now_s = self.now_s()
        core.advance(now_s)
        for event in events:
            if isinstance(event, Received):
                self._receive(event)
            elif isinstance(event, Up):
                core.opened(event.peer)
            elif isinstance(event, Down):
                if event.peer != self._peer:
                    core.lose_reply()
                elif event.refused:
                    core.rejection = event.reason
                core.lose(event.peer)
        was_open = core.is_open
        effects = core.finish()
        sent = [self._send(message) for message in effects.sends]
        is_due = not all(sent)
        if effects.dial:
            if self._peer:
                self._link.hang_up(self._peer)
            self._peer = self._link.dial(effects.dial)
            core.dialled(self._peer)
        for token, answer in effects.answers.items():
            self._answer(token, answer)
        if self._failing and core.failures != failures:
            _ring(self._failing)
        if self._roomy:
            _ring(self._roomy)
        if self._opened and (core.is_open or was_open or core.rejection):
            _ring(self._opened)
        if (core.outbox or core.chosen or core.plans) and core.is_open and core.has_window():
            is_due = True
        if is_due:
            return 0.0
        return None if effects.deadline_s is None else max(effects.deadline_s - now_s, 0.0)

    def _send(self, message: Message) -> bool:
        """False if it cannot be sent; whoever it was for has been told. Nobody's mistake ends the session."""
        try:
            self._link.send(self._peer, self._packer.pack(message))
        except Exception as error:
            logger.exception("a %s message cannot be sent", type(message).__name__)
            self._packer = frames.Packer()
            self.core.unsendable(message, error)
            return False
        return True

    def _receive(self, event: Received) -> None:
        try:
            if event.peer == self._peer:
                self.core.receive(event.peer, frames.unpack(event.frames, frames.TO_CLIENT))
            else:
                if len(event.frames) > BLOB_FRAMES_FROM:
                    self.expect_large_bodies()
                message = frames.unpack(event.frames, frames.TO_REPLY_SOCKET)
                assert isinstance(message, (Results, Told))
                if message.session != self.core.session:
                    pass  # It is for another one, that had this address before.
                elif isinstance(message, Results):
                    self.core.settled(message.outcomes)
                else:
                    self.core.told(message.notes)
        except Exception as error:  # Of its connection, but of nothing else, this is the end.
            if not isinstance(error, ProtocolError):
                logger.exception("a message cannot be handled; its connection is closed")
            self._link.hang_up(event.peer)
            if event.peer == self._peer:
                self.core.lose(event.peer)

    def _answer(self, token: int, answer: Any) -> None:
        waiting = self._answers.pop(token, None)
        if waiting is not None:
            box, ring = waiting
            box.append(answer)
            ring()

    def _end(self) -> None:
        """Nobody is left to wait for ever."""
        self.is_over = self._has_ended = True
        self.core.is_open = False
        failure = encode_failure(self._lost(), "")
        for pending in list(self.core.pending.values()):
            pending.settle(failed(pending.id, failure))
        self.core.pending.clear()
        _ring([ring for _, ring in list(self._answers.values())])
        _ring(self._roomy)
        _ring(self._opened)
        self._ended.release()

    def _lost(self) -> OperationalError:
        reason = self._failure or "the session was closed"
        return OperationalError(f"the outcome of this call will not come to this session: {reason}")


def _end_of(session: weakref.ref[Session]) -> Callable[[], None]:
    """What a forked child does with its parent's session: nothing may touch it any more."""

    def end() -> None:
        left_behind = session()
        if left_behind is not None:
            left_behind.is_over = True

    return end


def _outcome_of(pending: Pending) -> Outcome:
    assert pending.outcome is not None
    return pending.outcome


def _ring(bells: list[Callable[[], None]]) -> None:
    for ring in list(bells):
        ring()
