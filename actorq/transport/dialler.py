"""One outgoing connection."""

from __future__ import annotations

import errno
import random
import time
from functools import partial

import zmq

from actorq.transport import monitor
from actorq.transport.channels import MonitoredChannel, Parts
from actorq.transport.events import Up
from actorq.transport.sessions import Message, Session
from actorq.transport.sockets import EVENTS, MORE_TO_COME, NOBLOCK, POLLIN, POLLOUT, new_dialler, send_frame

_WANTED = (
    monitor.CONNECT_DELAYED | monitor.CONNECTED | monitor.CLOSED | monitor.DISCONNECTED
    | monitor.HANDSHAKE_SUCCEEDED | monitor.HANDSHAKE_FAILED
)  # fmt: skip
_SETTLE_S = 0.001
_LAST_WORDS_S = 0.05


class Dialler(MonitoredChannel):
    """A DEALER that tries once to connect and, if it can, is the connection of one session.

    While nobody listens at the address, the next attempt is another Dialler for the same session.
    """

    def __init__(self, parts: Parts, address: str, session: Session | None = None, attempt: int = 0) -> None:
        super().__init__(parts, new_dialler(parts.context, address, parts.limits), _WANTED)
        self.session = session or self._sessions.begin(self, address=address, is_open=False)
        self.session.channel = self
        self._address = address
        self._attempt = attempt
        self._has_begun = self._is_open = False
        self._lost: str | None = None
        self._lost_at_s = 0.0
        self.socket.connect(address)
        parts.reactor.after(parts.limits.redial_max_s, self._give_up)

    def receive(self, limit: int) -> bool:
        recv, peer = self._recv, self.session.peer
        for taken in range(limit):
            if taken == 1 and not self.has_input():
                break
            try:
                first = recv(NOBLOCK, False)
            except zmq.Again:
                break
            self._deliver(peer, first)
        else:
            return False
        if self._lost is not None:
            self._settle(self._lost)
        return True

    def push(self, session: Session, message: Message) -> bool:
        is_whole = len(message) == 1
        try:
            send_frame(self._send, message[0], NOBLOCK if is_whole else MORE_TO_COME)
        except zmq.Again:
            return False
        self._send_rest(message, 1)
        return True

    def hang_up(self, session: Session) -> None:
        self.close(self._parts.limits.hang_up_s)

    def _on_event(self, event: int, value: int, endpoint: str) -> None:
        if event == monitor.CONNECT_DELAYED:
            self._has_begun = True
        elif event == monitor.CONNECTED:
            self._has_begun = True
            self._parts.reactor.after(self._parts.limits.handshake_s, self._expect_open)
        elif event == monitor.HANDSHAKE_SUCCEEDED:
            self._open()
        elif event == monitor.CLOSED:
            self._redial()
        else:
            self._lose(monitor.why_lost(event, value, self._address))

    def _open(self) -> None:
        self._is_open = self.session.is_open = True
        self._sessions.events.append(Up(self.session.peer, self._address))
        self._sessions.queue(self.session)

    def _expect_open(self) -> None:
        """libzmq waits for ever for one that it believes to speak ZMTP 1.0, and nearly all noise looks like that."""
        if not self._is_open:
            self._lose(monitor.why_lost(monitor.HANDSHAKE_FAILED, errno.ETIMEDOUT, self._address))

    def _lose(self, reason: str) -> None:
        if self._lost is None:
            self.session.is_open = False
            self._lost = reason
            self._lost_at_s = time.monotonic()
            self._parts.reactor.touch(self)

    def _settle(self, reason: str) -> None:
        """The session is over when its last words are received: libzmq tells of the end a moment before it has them.

        When it has let go of the connection, the socket takes no messages any more. (One whose peer is stalled does
        not either; then a few of its last words may be lost.)
        """
        state = int(self.socket.getsockopt(EVENTS))
        if not state & (POLLIN | POLLOUT) or time.monotonic() - self._lost_at_s > _LAST_WORDS_S:
            self.close(0)
            self._sessions.end(self.session, reason)
        else:
            self._parts.reactor.after(_SETTLE_S, partial(self._parts.reactor.touch, self))

    def _redial(self) -> None:
        self.close(0)
        limits = self._parts.limits
        delay_s = min(limits.redial_min_s * 2**self._attempt, limits.redial_max_s)
        # Not all at the same time, when many wait for one.
        self._parts.reactor.after(delay_s * random.uniform(0.75, 1.25), self._dial_again)

    def _dial_again(self) -> None:
        if self.session.is_live:
            Dialler(self._parts, self._address, self.session, self._attempt + 1)

    def _give_up(self) -> None:
        """libzmq does not tell when it cannot find the address of a name; then there is no event at all."""
        if not self._has_begun and not self.socket.closed:
            self._redial()
