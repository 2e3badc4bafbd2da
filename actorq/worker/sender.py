"""Sends a node's messages so that what cannot be sent costs the call that it is about, and never the node."""

from __future__ import annotations

from collections.abc import Sequence

from actorq.errors import EncodeError
from actorq.transport import Peer, Transport
from actorq.wire import messages as m
from actorq.wire.frames import Packer, body_of
from actorq.wire.messages import Message
from actorq.wire.payload import encode_failure
from actorq.wire.records import FAILURE, Outcome

NOBODY: Peer = 0
"""What is sent to it is checked, and goes nowhere."""


class Sender:
    """Packs messages, and sends them over a link. One per thread that sends."""

    def __init__(self, link: Transport) -> None:
        self._link = link
        self._pack = Packer().pack

    def send(self, peer: Peer, message: Message, urgent: bool = False) -> None:
        """Send a message.

        An outcome that cannot be packed, or is too large, becomes a failure that says so, for all who hold it; so does
        the value of a Reply. Raises what packing or sending any other message raises.
        """
        try:
            self._link.send(peer, self._pack(message), urgent)
            return
        except Exception as error:
            self._pack = Packer().pack  # The other one may have kept blobs of what it could not pack.
            if isinstance(message, m.Reply):
                message = m.Reply(message.token, {"error": _described("the reply", error)})
            elif isinstance(message, (m.Finished, m.Results)):
                self._mend(message.outcomes)
            else:
                raise
        self._link.send(peer, self._pack(message), urgent)

    def _mend(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            try:
                self._link.send(NOBODY, self._pack(m.Results("", [outcome])))
            except Exception as error:
                self._pack = Packer().pack
                cause = EncodeError(_described("the outcome", error))
                outcome.state, outcome.content = FAILURE, ""
                outcome.body = body_of(encode_failure(cause, ""))


def _described(what: str, error: Exception) -> str:
    return f"{what} cannot be sent: {type(error).__name__}: {error}"
