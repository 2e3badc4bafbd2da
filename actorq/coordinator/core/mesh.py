"""The other coordinators of the mesh: which there are, and this one's sessions with them.

There is no leader: each dials each other one. On the connection that it has dialled it asks, and is answered; on the one
that was dialled from there it answers. Whoever knows one coordinator soon knows all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from actorq.coordinator.core.effects import Peer
from actorq.coordinator.core.state import State
from actorq.coordinator.core.topology import to_arguments
from actorq.policies.directory import Connection, Directory
from actorq.wire import messages as m
from actorq.wire.batches import chunks
from actorq.wire.messages import MEMBER_LIMIT, Message
from actorq.wire.records import Member

DECLARATIONS_AT_ONCE = 500
"""In one message, of which the size is limited."""
LOOK_EVERY_S = 1.0
"""Of looking for members that nobody has met for too long."""


@dataclass(slots=True, eq=False)
class PeerLink:
    """A session that this coordinator has dialled: it asks, the other one answers."""

    connection: Connection
    peer: Peer
    nonce: str = ""
    is_open: bool = False
    leaves: bool = False
    """The other one leaves the mesh."""
    member: Member = Member("")  # noqa: RUF009 - it is frozen


class Mesh:
    """What one coordinator knows of the others."""

    def __init__(self, state: State, seeds: Sequence[str]) -> None:
        self.own = Member("", state.epoch, state.name)
        self._state = state
        self._directory = Directory(seeds, state.epoch, state.now_s, state.settings.loopback_only)
        self._links: dict[Peer, PeerLink] = {}
        self._known: dict[str, tuple[Member, float]] = {}
        """Others by address, with when they were met the last time."""
        self._nonces = 0
        self._is_changed = False
        self._look_s = state.now_s

    # -- who is there --------------------------------------------------------------------------------------------

    def listens_at(self, address: str) -> None:
        """The address that the others are told."""
        self.own = Member(address, self._state.epoch, self._state.name)

    def others(self) -> list[Member]:
        """All others that are known, in order of their addresses."""
        return [self._known[address][0] for address in sorted(self._known)]

    def open_links(self) -> list[PeerLink]:
        """The sessions on which others can be asked now."""
        return [link for link in self._links.values() if link.is_open]

    def silent(self) -> list[Member]:
        """The others that cannot be asked now."""
        heard = self._heard()
        return [member for member in self.others() if member.address not in heard]

    def _heard(self) -> set[str]:
        """Addresses of those that can be asked now."""
        return {link.member.address for link in self.open_links()}

    def view(self, nonce: str = "") -> m.View:
        """What those who ask are told."""
        return m.View(nonce, self.own, self.others(), self._state.is_leaving, self._state.settings.durable)

    def announce_leave(self) -> None:
        """Have everybody told whether this coordinator leaves."""
        self._is_changed = True

    def heirs(self) -> list[PeerLink]:
        """The sessions with those that stay."""
        return [link for link in self.open_links() if not link.leaves]

    def meet(self, member: Member) -> None:
        """Another coordinator is there, and says where."""
        if not member.address or member.address == self.own.address or member.epoch == self.own.epoch:
            return
        if any(each.member.address == member.address and each.member != member for each in self.open_links()):
            return  # We talk to another incarnation. If that is over, the next one says so on our own connection.
        if any(link.leaves and link.member.epoch == member.epoch for link in self.open_links()):
            return
        known = self._known.get(member.address)
        if known is None and len(self._known) >= MEMBER_LIMIT:
            self._forget_one()
        self._known[member.address] = (member, self._state.now_s)
        if known is None or known[0] != member:
            self._is_changed = True
            self._state.note(f"coordinator {_named(member)} has joined the mesh")
        self._directory.learn(None, [(member.address, member.epoch)], self._open_epochs(), self._state.now_s)

    def _forget_one(self) -> None:
        """There are more than can be named: without the one that was not met for the longest time, of the silent ones."""
        heard = self._heard()
        oldest = min(self._known, key=lambda address: (address in heard, self._known[address][1]))
        del self._known[oldest]

    def part(self, epoch: str) -> None:
        """Another coordinator has left the mesh for good."""
        gone = [member for member, _ in self._known.values() if member.epoch == epoch]
        for member in gone:
            del self._known[member.address]
            self._is_changed = True
            self._state.note(f"coordinator {_named(member)} leaves the mesh")

    def _open_epochs(self) -> Iterator[str]:
        return (link.member.epoch for link in self._links.values() if link.member.epoch)

    # -- the sessions that we have dialled -------------------------------------------------------------------------

    def link(self, peer: Peer) -> PeerLink | None:
        """The link with that connection."""
        return self._links.get(peer)

    def dialled(self, address: str, peer: Peer) -> None:
        """The shell has begun to open a connection, as asked by `Effects.dial`."""
        self._directory.dialled(address, peer)
        connection = self._directory.of(peer)
        assert connection is not None
        self._links[peer] = PeerLink(connection, peer)

    def opened(self, peer: Peer) -> None:
        """The connection is up: ask who is there."""
        link = self._links.get(peer)
        if link is not None:
            self._nonces += 1
            link.nonce = str(self._nonces)
            self._directory.opened(link.connection, link.nonce, self._state.now_s)
            self._state.send(peer, m.Discover(link.nonce))

    def lose(self, peer: Peer) -> PeerLink | None:
        """The connection is gone. Returns the link, if it was one of ours."""
        link = self._links.pop(peer, None)
        if link is not None and link.connection.peer == peer:
            if link.is_open:
                self._meet_again(link)
            self._directory.lose(link.connection, self._state.now_s)
        return link

    def receive(self, link: PeerLink, message: Message) -> bool:
        """A message about the session itself. Returns whether it has opened it."""
        if isinstance(message, m.View):
            self._view(link, message)
        elif isinstance(message, m.Welcome):
            return self._welcome(link, message)
        elif isinstance(message, (m.Reset, m.Rejected)):
            self._hang_up(link)
        return False

    def _hang_up(self, link: PeerLink) -> None:
        self._state.effects.hang_ups.append(link.peer)
        self.lose(link.peer)

    def _view(self, link: PeerLink, view: m.View) -> None:
        if link.is_open:
            if view.leaves != link.leaves:
                link.leaves = view.leaves
                self._meet_or_part(link)
        elif view.nonce == link.nonce:
            if view.own.epoch == self.own.epoch:
                self._hang_up(link)
                self._directory.drop(link.connection)  # Our own address, by another name.
                return
            twin = next((each for each in self._links.values() if each.member.epoch == view.own.epoch), None)
            if twin is not None and twin is not link:
                self._directory.merge(link.connection, twin.connection)
                self._hang_up(link)
                return
            link.member, link.leaves = view.own, view.leaves
            versions = (m.OLDEST_VERSION, m.PROTOCOL_VERSION)
            self._state.send(link.peer, m.PeerHello(versions, link.nonce, self.own))
        self._learn(link, view.others)

    def _meet_or_part(self, link: PeerLink) -> None:
        if link.leaves:
            self.part(link.member.epoch)
        else:
            self.meet(link.member)

    def _welcome(self, link: PeerLink, welcome: m.Welcome) -> bool:
        if link.is_open or welcome.nonce != link.nonce:
            return False
        link.is_open = True
        link.member = Member(welcome.address or link.connection.address, welcome.epoch, welcome.name)
        self._directory.welcomed(link.connection)
        self._meet_or_part(link)
        self._learn(link, welcome.others)
        self._say_revocations(link)
        self._say_topology(link)
        return True

    def _learn(self, link: PeerLink, others: Sequence[Member]) -> None:
        places = [(each.address, each.epoch) for each in others if each.address != self.own.address]
        self._directory.learn(link.connection, places, self._open_epochs(), self._state.now_s)

    def _say_revocations(self, link: PeerLink) -> None:
        """It may have been out of reach when they were ordered."""
        for terminate in (False, True):
            ids = [task_id for task_id, (_, ends) in self._state.revoked.items() if ends is terminate]
            for each in chunks(ids):
                arguments = {"ids": list(each), "terminate": terminate}
                self._state.send(link.peer, m.Control(0, "revoke", arguments, [], 0.0))

    def _say_topology(self, link: PeerLink) -> None:
        """What was declared while it was out of reach, or before it was there."""
        for each in chunks(self._state.topology.all(), DECLARATIONS_AT_ONCE):
            arguments = {"items": to_arguments(each)}
            self._state.send(link.peer, m.Control(0, "declare", arguments, [], 0.0))

    def _meet_again(self, link: PeerLink) -> None:
        """As of now it is silent; it is remembered for a while from here on."""
        known = self._known.get(link.member.address)
        if known is not None:
            self._known[link.member.address] = (known[0], self._state.now_s)
            self._state.note(f"coordinator {_named(link.member)} is out of touch")

    # -- the end of a batch ----------------------------------------------------------------------------------------

    def finish(self) -> bool:
        """See to the connections. Returns whether others are to be told of a change."""
        state = self._state
        if state.now_s >= min(self._look_s, self._directory.next_s()):
            self._look_s = state.now_s + LOOK_EVERY_S
            self._forget_silent()
            for connection in self._directory.overdue(state.now_s):
                self._hang_up(self._links[connection.peer or 0])
            self._directory.forget_gone()
            state.effects.dial += self._directory.due(state.now_s)
        is_changed, self._is_changed = self._is_changed, False
        return is_changed

    def _forget_silent(self) -> None:
        oldest_s = self._state.now_s - self._state.settings.member_age_s
        heard = self._heard()
        for address in [each for each, (_, met_s) in self._known.items() if met_s < oldest_s and each not in heard]:
            member, _ = self._known.pop(address)
            self._is_changed = True
            self._state.note(
                f"coordinator {_named(member)} was not met for long, and is no member of the mesh any more"
            )

    def next_s(self) -> float | None:
        """When to look again, if there is anything to look at."""
        next_s = self._directory.next_s()
        if self._known:
            next_s = min(next_s, self._look_s)
        return None if next_s == float("inf") else next_s


def _named(member: Member) -> str:
    return f"{member.name or '?'} at {member.address}"
