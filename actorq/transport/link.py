"""The link: all ZeroMQ sockets of one thread, and the loop that is the only one to touch them.

A round of the loop receives what is ready, hands it all to the owner at once, sends what the owner has said, looks
again, and sleeps only if there is nothing left to do. So messages are handled in batches, as large as the load makes
them.
"""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from actorq import native
from actorq.errors import MessageTooLarge, OperationalError
from actorq.transport import addresses
from actorq.transport.caller import Caller
from actorq.transport.channels import Parts
from actorq.transport.curve import LinkKeys
from actorq.transport.dialler import Dialler
from actorq.transport.events import Frame, Identity, Peer
from actorq.transport.interface import Turn
from actorq.transport.limits import LinkLimits, LinkStats
from actorq.transport.listener import Listener
from actorq.transport.reactor import Reactor
from actorq.transport.sessions import Channel, Session, Sessions
from actorq.transport.waiters import Waiter
from actorq.transport.zap import Gate, prove_gate

_RETRY_MIN_S = 0.001
_RETRY_MAX_S = 0.016
_TERM_S = 0.5


class Link:
    """The sockets of one thread (native, or a gevent hub's), owned by whoever gives `turn`.

    `turn(events)` is called on the loop, once per round, with all that has happened since the last call; with nothing
    after a `wake` or when its time has come. It must not block or switch greenlets. It returns in how many seconds it
    wants to be called again at the latest, or None. An exception in it ends the link.

    All methods but `wake` and `stop` are for the thread that runs the link, which is the one that calls one of them
    first; from any greenlet there. A process that was forked off cannot use the link.
    """

    def __init__(
        self, waiter: Waiter, turn: Turn, limits: LinkLimits | None = None, keys: LinkKeys | None = None
    ) -> None:
        self.stats = LinkStats()
        self.asleep = True
        """Whether a `wake` is needed for another turn. False from a `wake` until the turn that it brings begins.

        To look here first is cheaper than a `wake`, for those who append to something that the turn looks at.
        """
        self._limits = limits or LinkLimits()
        self._keys = keys
        self._gate: Gate | None = None
        self._waiter = waiter
        self._turn = turn
        self._sessions = Sessions()
        self._parts: Parts | None = None
        self._caller: Caller | None = None
        self._owner: tuple[int, int] | None = None
        self._is_running = False
        self._is_forked = False
        self._is_in_turn = False
        self._linger_s: float | None = None
        self._due_s = 0.0
        self._stalled: list[Session] = []
        self._retry_s = _RETRY_MIN_S

    # -- connections ---------------------------------------------------------------------------------------------

    def listen(self, address: str) -> str:
        """Let peers connect to `address`. They are heard of when they send their first message.

        ``tcp://host:port``, ``tcp://*:0`` (all interfaces, any free port), ``tcp://[::]:0`` (with IPv6) or
        ``ipc://path``. Returns the real address. With keys it first makes sure that a stranger is refused.

        Raises BadAddress, AddressInUse, OperationalError.
        """
        parts = self._own()
        listener = Listener(parts, address)
        if self._gate is not None and self._keys is not None:
            try:
                prove_gate(parts.context, self._gate, self._keys, listener.address)
            except OperationalError:
                listener.close(0)
                raise
            parts.reactor.touch(self._gate)
        return listener.address

    def dial(self, address: str) -> Peer:
        """Connect to `address`: a new session, which ends with its connection; for another one, dial again.

        While nobody listens there it goes on trying, until `hang_up`. Messages wait here until it is Up. Raises
        BadAddress.
        """
        addresses.check_to_dial(address)
        return Dialler(self._own(), address).session.peer

    def call(self, address: str, key: str = "") -> Peer:
        """The session with the listener at `address`: the one that was called before and lives, or a new one.

        For short messages to many: all share a socket, messages are taken at once, and there is no Up. It tries once;
        Down comes if nobody listens there. Where this link has keys, `key` is the listener's public one. Raises
        BadAddress.
        """
        parts = self._own()
        if self._caller is None:
            self._caller = Caller(parts)
        return self._caller.call(address, key).peer

    def hang_up(self, peer: Peer) -> None:
        """End the session from this side. What was sent before goes out as far as ZeroMQ takes it now.

        One that has connected to us is forgotten, and may go on sending: then it is a new peer.
        """
        parts = self._own()
        session = self._sessions.live.get(peer)
        if session is not None:
            if session.is_open:
                self._flush_session(session, len(session.urgent) + len(session.bulk))
                parts.reactor.touch(session.channel)
            session.channel.hang_up(session)
            self._sessions.end(session, "hung up here")
            if not self._is_in_turn:
                self.wake()

    def identity(self, peer: Peer) -> Identity:
        """Who is at the other end; of a peer that is gone, nobody."""
        session = self._sessions.live.get(peer)
        return Identity() if session is None else session.identity

    # -- messages ------------------------------------------------------------------------------------------------

    def send(self, peer: Peer, frames: Sequence[Frame], urgent: bool = False) -> None:
        """Append a message to the peer's outbox. It leaves at the end of the round, urgent ones first.

        A message is not empty, and not one empty frame. Frames must not be changed afterwards. To a peer that is gone
        it is ignored: its Down has been, or will be, reported. Raises MessageTooLarge.
        """
        limit_bytes = self._limits.max_frame_bytes
        message_bytes = 0
        for frame in frames:
            message_bytes += len(frame)
            if len(frame) > limit_bytes:
                self.stats.oversized += 1
                raise MessageTooLarge("a frame", len(frame), limit_bytes)
        session = self._sessions.live.get(peer)
        if session is not None:
            self.stats.messages_out += 1
            self.stats.bytes_out += message_bytes
            (session.urgent if urgent else session.bulk).append(frames)
            if session.is_open and not session.is_queued:
                self._sessions.queue(session)
                if not self._is_in_turn:
                    self.wake()  # Somebody else's greenlet runs, while the loop sleeps.

    def backlog(self, peer: Peer) -> int:
        """Messages to the peer that wait here: said in this round, or not taken by ZeroMQ as the peer is stalled."""
        session = self._sessions.live.get(peer)
        return 0 if session is None else len(session.urgent) + len(session.bulk)

    # -- the loop ------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Have a turn soon. From any thread; costs little, and nothing more until that turn has begun."""
        if self.asleep:
            self.asleep = False
            self._waiter.wake()

    def run(self) -> None:
        """The loop, until `stop`. Raises what `turn` raises. All connections are closed when it returns."""
        parts = self._own()
        self._is_running = True
        linger_s = 0.0
        try:
            while self._linger_s is None:
                self._round(parts)
                self._rest(parts)
            linger_s = self._linger(parts)
        finally:
            self._close(linger_s)

    def stop(self, linger_s: float = 1.0) -> None:
        """End the loop. What is in the outboxes has `linger_s` to leave. From any thread; does not wait for the end.

        A second call can shorten that time.
        """
        self._linger_s = linger_s if self._linger_s is None else min(linger_s, self._linger_s)
        self.asleep = False
        self._waiter.wake()
        if not self._is_running and self._owner == _here():
            self._close(linger_s)

    def _round(self, parts: Parts) -> None:
        reactor, sessions = parts.reactor, self._sessions
        reactor.receive(self._limits.round_messages)
        now_s = time.monotonic()
        reactor.run_timers(now_s)
        if sessions.events or not self.asleep or now_s >= self._due_s:
            self._take_turn()
        self._flush(parts)
        reactor.look_again()

    def _rest(self, parts: Parts) -> None:
        """Let others run; sleep if there is nothing left to do."""
        reactor, sessions = parts.reactor, self._sessions
        if reactor.is_busy or sessions.outgoing or sessions.events or not self.asleep:
            self._waiter.breathe()
        else:
            reactor.wait(time.monotonic(), self._due_s)
        if self._is_forked:
            raise RuntimeError("a link cannot go on in a process that was forked off; make another one there")

    def _take_turn(self) -> None:
        events, self._sessions.events = self._sessions.events, []
        self.asleep = True  # From here on, nobody can know whether this turn sees what they append.
        self.stats.turns += 1
        self._is_in_turn = True
        try:
            delay_s = self._turn(events)
        finally:
            self._is_in_turn = False
        self._due_s = math.inf if delay_s is None else time.monotonic() + delay_s

    def _flush(self, parts: Parts) -> None:
        """Send what waits, each session in its turn. What is beyond the limit comes in the next round."""
        sessions = self._sessions
        outgoing = sessions.outgoing
        if not outgoing:
            return
        sessions.outgoing = []
        limit = self._limits.round_messages
        used: set[Channel] = set()
        for session in outgoing:
            if session.is_open:
                used.add(session.channel)
                limit -= self._flush_session(session, limit)
            if not session.is_stalled:
                session.is_queued = False
                if session.is_open and (session.urgent or session.bulk):
                    sessions.queue(session)
        for channel in used:
            if not channel.is_ready and channel.has_input():
                parts.reactor.touch(channel)

    def _flush_session(self, session: Session, limit: int) -> int:
        """Send up to `limit` messages, as far as ZeroMQ takes them. Returns how many that were."""
        push = session.channel.push
        sent = 0
        for lane in (session.urgent, session.bulk):
            while lane and sent < limit and session.is_open:
                message = lane.popleft()
                if not push(session, message):
                    lane.appendleft(message)
                    self._stall(session)
                    return sent
                sent += 1
                self._retry_s = _RETRY_MIN_S
        session.is_stalled = False
        return sent

    def _stall(self, session: Session) -> None:
        """Its pipe in ZeroMQ is full: try again after a while, as nothing tells when there is room."""
        if not session.is_stalled:
            session.is_stalled = True
            self.stats.stalls += 1
        session.is_queued = True
        self._stalled.append(session)
        if len(self._stalled) == 1:
            self._own().reactor.after(self._retry_s, self._retry)

    def _retry(self) -> None:
        self._sessions.outgoing += self._stalled
        self._stalled = []
        self._retry_s = min(self._retry_s * 2, _RETRY_MAX_S)

    # -- its life ------------------------------------------------------------------------------------------------

    def _own(self) -> Parts:
        """What the link works with. Made in the thread that asks first; refused to any other."""
        here = _here()
        if self._owner is None:
            self._owner = here
            self._watch_for_forks()
            self._waiter.open()
            reactor = Reactor(self._waiter, self.stats)
            self._parts = Parts(zmq.Context(), self._limits, self.stats, reactor, self._sessions, self._keys)
            if self._keys is not None:
                self._gate = Gate(self._parts.context, self._keys, self._limits.connections, self.stats, self._catch_up)
                reactor.watch(self._gate)
        elif self._owner != here:
            raise RuntimeError(
                "a link is for the thread and the process that used it first; use wake() from other threads, and make "
                "another link after a fork"
            )
        if self._parts is None:
            raise RuntimeError("the link has stopped; make another one")
        return self._parts

    def _catch_up(self) -> None:
        """Count the connections that others have opened until now."""
        assert self._parts is not None
        for channel in self._parts.channels:
            if isinstance(channel, Listener):
                channel.catch_up()

    def _watch_for_forks(self) -> None:
        """gevent copies greenlets into a process that is forked off; there, the loop must not go on."""
        this = weakref.ref(self)

        def after_fork() -> None:
            link = this()
            if link is not None:
                link._is_forked = True

        os.register_at_fork(after_in_child=after_fork)

    def _linger(self, parts: Parts) -> float:
        """Send what waits, without the owner. Returns how long ZeroMQ has for the rest."""
        began_s = time.monotonic()

        def left_s() -> float:
            return max(began_s + (self._linger_s or 0.0) - time.monotonic(), 0.0)

        self._turn = lambda events: left_s()
        self._round(parts)
        while self._sessions.have_backlog() and left_s():
            self._rest(parts)
            self._round(parts)
        return left_s()

    def _close(self, linger_s: float) -> None:
        """Close the sockets, and wait until ZeroMQ has let them go, but not for ever."""
        parts, self._parts = self._parts, None
        if parts is None or self._owner is None or self._owner[0] != os.getpid():
            return
        for channel in tuple(parts.channels):
            channel.close(linger_s)
        if self._gate is not None:
            parts.reactor.unwatch(self._gate)
            self._gate.socket.close(0)
        deadline_s = time.monotonic() + max(linger_s, self._limits.hang_up_s) + _TERM_S
        is_closed = _terminate(parts.context, self._waiter)
        while not is_closed() and (left_s := deadline_s - time.monotonic()) > 0:
            self._waiter.wait(left_s)
        self.asleep = False
        self._waiter.close()


def _here() -> tuple[int, int]:
    return os.getpid(), native.original("_thread", "get_ident")()


def _terminate(context: zmq.Context[Any], waiter: Waiter) -> Callable[[], bool]:
    """Terminate the context on a thread of its own, since it blocks. Returns whether it has ended; wakes `waiter`."""
    ended: list[bool] = []

    def terminate() -> None:
        context.term()
        ended.append(True)
        waiter.wake()

    native.start_thread(terminate)
    return lambda: bool(ended)
