"""One outgoing connection."""

from __future__ import annotations

import errno
import random

import zmq

from actorq.errors import BadAddress
from actorq.transport import monitor
from actorq.transport.channels import MonitoredChannel, Parts
from actorq.transport.events import Identity, Up
from actorq.transport.sessions import Message, Session
from actorq.transport.sockets import MORE_TO_COME, NOBLOCK, connect, new_dialler, receive_rest, send_frame

_WANTED = (
    monitor.CONNECTED | monitor.CONNECT_RETRIED | monitor.DISCONNECTED
    | monitor.HANDSHAKE_SUCCEEDED | monitor.HANDSHAKE_FAILED
)  # fmt: skip
_LAST_WORDS_S = 0.05
_CUT = (errno.ECONNRESET, errno.EPIPE)
_CUTS = 3
"""A listener that ends cuts a handshake once. One that does so again and again does not want ours."""


class Dialler(MonitoredChannel):
    """A DEALER that tries once to connect and, if it can, is the connection of one session.

    While nobody listens at the address, the next attempt is another Dialler for the same session.
    """

    def __init__(
        self, parts: Parts, address: str, session: Session | None = None, attempt: int = 0, cuts: int = 0
    ) -> None:
        super().__init__(parts, new_dialler(parts.context, address, parts.limits, parts.keys), _WANTED)
        try:
            connect(self.socket, address, parts.limits)
        except BadAddress:
            self.close(0)
            raise
        self.session = session or self._sessions.begin(self, address=address, is_open=False)
        self.session.channel = self
        self.session.identity = Identity(parts.keys.server if parts.keys is not None else "", address)
        self._address = address
        self._attempt = attempt
        self._cuts = cuts
        self._has_opened = False
        self._lost: str | None = None
        self._is_refused = False
        self._is_settled = False

    def receive(self, limit: int) -> bool:
        is_dry = self._take(limit)
        if is_dry and self._is_settled and self._lost is not None:
            self.close(0)
            self._sessions.end(self.session, self._lost, self._is_refused)
        return is_dry

    def push(self, session: Session, message: Message) -> bool:
        is_whole = len(message) == 1
        try:
            send_frame(self._send, message[0], NOBLOCK if is_whole else MORE_TO_COME)
        except zmq.Again:
            return False
        if not is_whole:
            self._send_rest(message, 1)
        return True

    def hang_up(self, session: Session) -> None:
        self.close(self._parts.limits.hang_up_s)

    def _take(self, limit: int) -> bool:
        recv, peer = self._recv, self.session.peer
        for taken in range(limit):
            if taken == 1 and not self.has_input():
                return True
            try:
                first = recv(NOBLOCK, False)
            except zmq.Again:
                return True
            self._deliver(peer, receive_rest(recv, first))
        return False

    def _on_event(self, event: int, value: int, endpoint: str) -> None:
        after, limits = self._parts.reactor.after, self._parts.limits
        if event == monitor.CONNECTED:
            after(limits.handshake_s, self._expect_open)
        elif event == monitor.HANDSHAKE_SUCCEEDED:
            self._open()
        elif event == monitor.CONNECT_RETRIED and self._lost is None:
            self._redial()
        elif (
            event == monitor.HANDSHAKE_TIMED_OUT_OR_CUT and value in _CUT and self._lost is None and self._cuts < _CUTS
        ):
            self._cuts += 1
            self._redial()  # Nobody listens: who did has ended, with our connection in its backlog.
        elif event == monitor.CONNECT_RETRIED:
            self._settle()
        else:
            is_timeout = event == monitor.HANDSHAKE_TIMED_OUT_OR_CUT and value not in _CUT  # As behind a broken link.
            self._is_refused |= bool(event & monitor.HANDSHAKE_FAILED) and not is_timeout
            self._lose(monitor.why_lost(event, value, self._address, self._parts.keys is not None))

    def _open(self) -> None:
        self._has_opened = self.session.is_open = True
        self._sessions.events.append(Up(self.session.peer, self._address))
        self._sessions.queue(self.session)

    def _expect_open(self) -> None:
        """libzmq waits for ever for one that it believes to speak ZMTP 1.0, and nearly all noise looks like that."""
        if not self._has_opened:
            self._lose(
                monitor.why_lost(monitor.HANDSHAKE_FAILED, errno.ETIMEDOUT, self._address, self._parts.keys is not None)
            )

    def _lose(self, reason: str) -> None:
        """The connection is lost. The session ends when its last words are received."""
        if self._lost is None:
            self.session.is_open = False
            self._lost = reason
            self._parts.reactor.after(_LAST_WORDS_S, self._settle)  # If libzmq would not connect again.

    def _settle(self) -> None:
        """libzmq has handed over all that it has received."""
        self._is_settled = self.needs_last_look = True
        self._parts.reactor.touch(self)

    def _redial(self) -> None:
        self.close(0)
        limits = self._parts.limits
        delay_s = min(limits.redial_min_s * 2**self._attempt, limits.redial_max_s)
        # Not all at the same time, when many wait for one.
        self._parts.reactor.after(delay_s * random.uniform(0.75, 1.25), self._dial_again)

    def _dial_again(self) -> None:
        if self.session.is_live:
            Dialler(self._parts, self._address, self.session, self._attempt + 1, self._cuts)
