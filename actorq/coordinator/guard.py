"""The guard of a coordinator with keys: who is at the other end, and whether what it says is allowed to it.

Everybody who comes here has a key that the ring knows; the link saw to that. What is left is what the key may do, that
a session stays with its key, and that nobody makes workers connect to a third party.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from actorq.coordinator.core import Coordinator
from actorq.coordinator.core.state import SPEC_LIMIT
from actorq.coordinator.reply_addresses import may_reply_to
from actorq.keys import CODE, Grant, KeyRing, brings_code, why_denied
from actorq.log import Sparse
from actorq.transport import Peer, Transport, is_key
from actorq.wire import messages as m
from actorq.wire.messages import Message

FEWEST_OWNERS_PRUNED = 10_000

logger = logging.getLogger("actorq.coordinator")


@dataclass(slots=True)
class Verdict:
    """What is done with a message that is not all right."""

    message: Message | None = None
    """What is left of it to be handled."""
    answer: Message | None = None
    ends_session: bool = False


@dataclass(slots=True)
class _Visitor:
    """One peer."""

    key: str
    grant: Grant
    address: str
    banned_specs: set[int] = field(default_factory=set)
    """By its numbers: those that bring code, which it may not send."""

    def __str__(self) -> str:
        return f"{self.grant} at {self.address or 'this host'}"


class Guard:
    """Looks at each message before the core does."""

    def __init__(self, ring: KeyRing, core: Coordinator, link: Transport) -> None:
        self.denied_count = 0
        self._ring = ring
        self._version = ring.version
        self._core = core
        self._link = link
        self._visitors: dict[Peer, _Visitor] = {}
        self._owners: dict[str, str] = {}
        """The key of each client session and each node's epoch."""
        self._prune_at = FEWEST_OWNERS_PRUNED
        self._complaints = Sparse(logger)

    def check(self, peer: Peer, message: Message) -> Verdict | None:
        """None: all right. To be called for each message of each peer."""
        visitor = self._visitors.get(peer)
        if visitor is None:
            identity = self._link.identity(peer)
            grant = self._ring.grant(identity.key)
            if grant is None:  # Its key was taken away since it connected.
                return Verdict(answer=m.Rejected(_taken_away(identity.key)), ends_session=True)
            visitor = self._visitors[peer] = _Visitor(identity.key, grant, identity.address)
        if isinstance(message, m.ClientHello):
            return (
                self._deny(visitor, message)
                or self._check_owner(visitor, message.session)
                or self._vouch(visitor, message)
            )
        if isinstance(message, (m.WorkerHello, m.ControlHello)):
            return self._deny(visitor, message) or self._check_owner(visitor, message.epoch)
        if visitor.grant.is_unlimited:
            return None
        verdict = self._deny(visitor, message)
        if verdict is None and isinstance(message, m.Submit) and not visitor.grant.may(CODE):
            return self._without_code(visitor, message)
        return verdict

    def forget(self, peer: Peer) -> None:
        """It is gone."""
        self._visitors.pop(peer, None)

    def refresh(self) -> Iterable[tuple[Peer, Message]]:
        """Look whether keys have changed. Returns the peers whose sessions end, each with what it is told."""
        self._ring.refresh()
        if self._version == self._ring.version:
            return
        self._version = self._ring.version
        for peer, visitor in list(self._visitors.items()):
            grant = self._ring.grant(visitor.key)
            if grant != visitor.grant:
                logger.warning("the session of %s ends: its key was %s", visitor, "changed" if grant else "taken away")
                yield peer, m.Reset() if grant else m.Rejected(_taken_away(visitor.key))

    def describe(self, peer: Peer) -> str:
        """Who it is, for people."""
        visitor = self._visitors.get(peer)
        return f"peer {peer}" if visitor is None else str(visitor)

    # -- what is not allowed -------------------------------------------------------------------------------------

    def _deny(self, visitor: _Visitor, message: Message) -> Verdict | None:
        """What the user could have known better is answered, and costs no session. All else ends it."""
        why = why_denied(visitor.grant, message)
        if not why:
            return None
        self._complain(visitor, why)
        if isinstance(message, m.Submit):
            refused = m.Refused([(task_id, why) for task_id in _ids_in(message)])
            return Verdict(m.Submit(message.seq, [], []), refused)
        if isinstance(message, m.Control):
            return Verdict(answer=m.Replies(message.token, {}, [], why))
        if isinstance(message, m.Code):
            return Verdict()  # The calls that need it are refused.
        return Verdict(answer=m.Rejected(why), ends_session=True)

    def _without_code(self, visitor: _Visitor, message: m.Submit) -> Verdict | None:
        banned = visitor.banned_specs
        for number, spec in message.specs:
            if brings_code(spec):
                banned.add(number)
            else:
                banned.discard(number)
        if len(banned) > SPEC_LIMIT:
            why = f"{visitor.grant} names more than {SPEC_LIMIT:,} options that it may not use"
            self._complain(visitor, why)
            return Verdict(answer=m.Rejected(why), ends_session=True)
        refused = [call.id for call in message.calls if call.spec in banned] if banned else []
        plans = [plan for plan in message.plans if any(node.call.spec in banned for node in plan.nodes)]
        refused += [node.call.id for plan in plans for node in plan.nodes if node.replies]
        if not refused and not plans:
            message.specs = [each for each in message.specs if each[0] not in banned]
            return None
        why = why_denied(visitor.grant, m.Code("", b""))
        self._complain(visitor, why)
        specs = [each for each in message.specs if each[0] not in banned]
        calls = [call for call in message.calls if call.spec not in banned]
        allowed = [plan for plan in message.plans if plan not in plans]
        left = m.Submit(message.seq, specs, calls, message.fresh, message.resent, allowed)
        return Verdict(left, m.Refused([(task_id, why) for task_id in refused]))

    def _check_owner(self, visitor: _Visitor, session: str) -> Verdict | None:
        owner = self._owners.setdefault(session, visitor.key)
        if owner != visitor.key:
            why = f"session {session} belongs to another key than that of {visitor.grant}: begin one of your own"
            self._complain(visitor, why)
            return Verdict(answer=m.Rejected(why), ends_session=True)
        if len(self._owners) >= self._prune_at:
            state = self._core.state
            self._owners = {
                each: key
                for each, key in self._owners.items()
                if each in state.clients or each in state.workers or each == session
            }
            self._prune_at = max(2 * len(self._owners), FEWEST_OWNERS_PRUNED)
        return None

    def _vouch(self, visitor: _Visitor, hello: m.ClientHello) -> Verdict | None:
        """Workers connect where a client says that it listens, but only if that is where it comes from.

        Otherwise its results go through the coordinator, as those of a client without a reply socket: it may well be
        honest, and behind a router that translates addresses.
        """
        if not hello.reply_address:
            return None
        if not is_key(hello.reply_key):
            why = f"{visitor.grant} listens for results without a key: name reply_key, or no reply_address"
            self._complain(visitor, why)
            return Verdict(answer=m.Rejected(why), ends_session=True)
        if may_reply_to(hello.reply_address, visitor.address):
            return None
        self._complain(
            visitor,
            f"the reply address {hello.reply_address[:200]} of {visitor.grant} is not where it comes from; its results "
            f"go through this coordinator",
        )
        hello.reply_address = hello.reply_key = ""
        return None

    def _complain(self, visitor: _Visitor, why: str) -> None:
        self.denied_count += 1
        self._complaints.warning(self._core.state.now_s, "refused, from %s: %s", visitor.address or "this host", why)


def _ids_in(message: m.Submit) -> list[str]:
    ids = [call.id for call in message.calls]
    return ids + [node.call.id for plan in message.plans for node in plan.nodes if node.replies]


def _taken_away(key: str) -> str:
    return f"the key {key} is not, or no longer, among those of this mesh: 'actorq key client NAME' makes one that is"
