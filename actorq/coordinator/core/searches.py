"""Questions of clients about calls that this coordinator does not know: the others are asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from actorq.coordinator.core.clients import Client
from actorq.coordinator.core.effects import Peer
from actorq.coordinator.core.mesh import Mesh, PeerLink
from actorq.coordinator.core.state import State
from actorq.wire import messages as m
from actorq.wire.batches import chunks
from actorq.wire.messages import Outcome

PATIENCE_S = 1.0
"""For how long the others may think about it."""


@dataclass(slots=True, eq=False)
class _Search:
    client: Client
    peer: Peer
    token: int
    states: dict[str, str]
    awaited: dict[Peer, str]
    """Links that have not answered, with the names of the coordinators."""
    silent: list[str]
    deadline_s: float

    def report(self) -> m.Report:
        silent = [*self.silent, *self.awaited.values()]
        return m.Report(self.token, list(self.states.items()), silent[: m.MEMBER_LIMIT])


class Searches:
    """Gathers what the others know; a search ends when all have answered, or at its deadline."""

    def __init__(self, state: State, mesh: Mesh) -> None:
        self._state = state
        self._mesh = mesh
        self._open: dict[int, _Search] = {}
        self._count = 0

    def open(self, client: Client, peer: Peer, token: int, states: dict[str, str]) -> None:
        """Find out what others know of the calls with an empty state, and tell the client what is known of all."""
        unknown = [task_id for task_id, state in states.items() if not state]
        links = self._mesh.open_links() if unknown else []
        silent = [member.name or member.address for member in self._mesh.silent()] if unknown else []
        awaited = {link.peer: link.member.name for link in links}
        search = _Search(client, peer, token, states, awaited, silent, self._state.now_s + PATIENCE_S)
        if not links:
            self._state.tell(client, search.report())
            return
        self._count += 1
        self._open[self._count] = search
        for link in links:
            self._state.send(link.peer, m.Query(self._count, unknown))

    def watch(self, task_ids: Sequence[str]) -> None:
        """Have the others tell when these settle, which are not known here."""
        for link in self._mesh.open_links():
            self._ask_to_watch(link, task_ids)

    def watch_again(self, link: PeerLink) -> None:
        """A session with another coordinator has begun: it may have what somebody waits for."""
        state = self._state
        self._ask_to_watch(link, [task_id for task_id in state.watchers if state.calls.get(task_id) is None])

    def _ask_to_watch(self, link: PeerLink, task_ids: Sequence[str]) -> None:
        for each in chunks(task_ids):
            self._state.send(link.peer, m.Query(0, list(each), wait=True))

    def settled(self, outcomes: Sequence[Outcome]) -> None:
        """Another coordinator has these outcomes."""
        told: dict[Client, list[Outcome]] = {}
        searching: dict[str, list[Client]] = {}
        for search in self._open.values():
            for task_id in search.states:
                searching.setdefault(task_id, []).append(search.client)
        for outcome in outcomes:
            clients = dict.fromkeys(searching.get(outcome.id, ()))
            for client in self._state.watchers.pop(outcome.id, ()):
                client.watched.discard(outcome.id)
                clients[client] = None
            for client in clients:
                told.setdefault(client, []).append(outcome)
            for search in self._open.values():
                search.states.pop(outcome.id, None)
        for client, each in told.items():
            self._state.tell_settled(client, each)

    def report(self, peer: Peer, report: m.Report) -> None:
        """Another coordinator has answered; outcomes that it has came before."""
        search = self._open.get(report.token)
        if search is not None and search.awaited.pop(peer, None) is not None:
            for task_id, state in report.states:
                if state and not search.states.get(task_id, state):
                    search.states[task_id] = state

    def lose(self, peer: Peer) -> None:
        """A connection is gone: of one who asked, or of one who was asked."""
        for number in [number for number, search in self._open.items() if search.peer == peer]:
            del self._open[number]
        for search in self._open.values():
            name = search.awaited.pop(peer, None)
            if name is not None:
                search.silent.append(name)

    def finish(self) -> None:
        """Answer those searches that are done."""
        for number in self._done():
            search = self._open.pop(number)
            self._state.tell(search.client, search.report())

    def _done(self) -> Iterable[int]:
        now_s = self._state.now_s
        return [number for number, each in self._open.items() if not each.awaited or each.deadline_s <= now_s]

    def next_s(self) -> float | None:
        """Monotonic time of the first deadline."""
        return min([each.deadline_s for each in self._open.values()]) if self._open else None
