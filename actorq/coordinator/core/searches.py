"""Calls that this coordinator does not know, and others may: those are asked.

When a client wants to know of them, and before calls are taken that may be known elsewhere: ids that users chose, and
what a client brings that has lost its coordinator. (Of two that ask each other at the same moment the one with the
smaller epoch answers when it has taken the call. So does one that has the other's answer, and waits for a third one.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product

from actorq.coordinator.core.clients import Client
from actorq.coordinator.core.effects import Peer
from actorq.coordinator.core.mesh import Mesh, PeerLink
from actorq.coordinator.core.state import State
from actorq.wire import messages as m
from actorq.wire.batches import chunks
from actorq.wire.records import Note, Outcome

Done = Callable[[dict[str, str], list[str]], None]
"""Called with the states of the calls that have not settled, empty for unknown ones, and the names of those coordinators
that could not be asked. Of calls that have settled elsewhere the client was told the outcomes."""
SWEEP_S = 1.0
"""How often it is looked whether somebody still waits for what the others watch."""
PATIENCE_S = 1.0
"""For how long the others may think about it."""


@dataclass(slots=True, eq=False)
class _Search:
    client: Client
    peer: Peer
    done: Done
    states: dict[str, str]
    awaited: dict[Peer, str]
    """Links that have not answered, with the names of the coordinators."""
    parts: int
    """Messages of each question, which are answered one by one."""
    silent: list[str]
    deadline_s: float
    claimed: Sequence[str] = ()
    """Ids of calls that are to be taken here, if nobody else has them."""
    notes: dict[str, Note] = field(default_factory=dict)
    """What tasks have said of themselves."""
    answers: Counter[Peer] = field(default_factory=Counter)


class Searches:
    """Gathers what the others know; a search ends when all have answered, or at its deadline."""

    def __init__(self, state: State, mesh: Mesh) -> None:
        self._state = state
        self._mesh = mesh
        self._open: dict[int, _Search] = {}
        self._seekers: dict[str, list[int]] = {}
        """Open searches by each call that they look for."""
        self._claims: Counter[str] = Counter()
        self._watching: set[str] = set()
        """Calls of which the others were asked to tell."""
        self._sweep_s = state.now_s
        self._parked: list[Callable[[], None]] = []
        self._count = 0

    def can_ask(self) -> bool:
        """Whether there are others."""
        return bool(self._mesh.open_links())

    def answer(self, client: Client, peer: Peer, token: int, states: dict[str, str]) -> None:
        """Find out what others know of the calls with an empty state, and tell the client what is known of all."""
        notes = {note.id: note for note in self._state.notes_of(states)}

        def report(found: dict[str, str], silent: list[str]) -> None:
            self._state.tell(client, m.Report(token, list(found.items()), silent, list(notes.values())))

        self._find(client, peer, states, report, notes=notes)

    def claim(self, client: Client, peer: Peer, task_ids: Sequence[str], done: Done) -> None:
        """Find out whether others have these calls, which are to be taken here if not."""
        self._claims.update(task_ids)
        self._find(client, peer, dict.fromkeys(task_ids, ""), done, task_ids)

    def has_claimed(self, task_ids: Sequence[str], asker: Client) -> bool:
        """Whether one of these calls is about to be taken here, and so not by the coordinator that asks now."""
        claims = self._claims
        if not any(task_id in claims for task_id in task_ids):
            return False
        return self._state.epoch < asker.epoch or self._is_not_waited_for(asker, set(task_ids))

    def _is_not_waited_for(self, asker: Client, task_ids: set[str]) -> bool:
        """Whether a claim to one of these does not wait for the one that asks now: it was first, and others are slow."""
        asked = {link.peer for link in self._mesh.open_links() if link.member.epoch == asker.epoch}
        searches = [search for search in self._open.values() if not task_ids.isdisjoint(search.claimed)]
        return any(asked.isdisjoint(search.awaited) for search in searches)

    def park(self, question: Callable[[], None]) -> None:
        """Have a question of another coordinator's answered when it is known what becomes of what was claimed."""
        self._parked.append(question)

    def answer_parked(self) -> None:
        """Calls that were claimed may have been taken by now."""
        parked, self._parked = self._parked, []
        for question in parked:
            question()

    def _find(
        self,
        client: Client,
        peer: Peer,
        states: dict[str, str],
        done: Done,
        claimed: Sequence[str] = (),
        notes: dict[str, Note] | None = None,
    ) -> None:
        unknown = [task_id for task_id, state in states.items() if not state]
        silent = [member.name or member.address for member in self._mesh.silent()] if unknown else []
        links = self._mesh.open_links() if unknown else []
        parts = [list(each) for each in chunks(unknown)]
        awaited = {link.peer: link.member.name for link in links}
        self._count += 1
        self._open[self._count] = _Search(
            client,
            peer,
            done,
            states,
            awaited,
            len(parts),
            silent,
            self._state.now_s + PATIENCE_S,
            claimed,
            {} if notes is None else notes,
        )
        for task_id in states:
            self._seekers.setdefault(task_id, []).append(self._count)
        for link, part in product(links, parts):
            question = m.Query(self._count, part)
            if claimed:
                # Not before what was answered until now, which waits until it is durable: who hears first that these
                # are claimed believes that nobody has answered yet.
                self._state.acks.append((link.peer, question))
            else:
                self._state.send(link.peer, question)

    def watch(self, task_ids: Sequence[str]) -> None:
        """Have the others tell when these settle, which are not known here."""
        self._watching.update(task_ids)
        for link in self._mesh.open_links():
            self._ask_to_watch(link, task_ids)

    def watch_again(self, link: PeerLink) -> None:
        """A session with another coordinator has begun: it may have what somebody waits for."""
        state = self._state
        unknown = [
            task_id for task_id in state.watchers if state.calls.get(task_id) is None and self._is_wanted(task_id)
        ]
        self._watching.update(unknown)
        self._ask_to_watch(link, unknown)

    def _ask_to_watch(self, link: PeerLink, task_ids: Sequence[str]) -> None:
        for each in chunks(task_ids):
            self._state.send(link.peer, m.Query(0, list(each), wait=True))

    def settled(self, outcomes: Sequence[Outcome]) -> None:
        """Another coordinator has these outcomes."""
        told: dict[Client, list[Outcome]] = {}
        for outcome in outcomes:
            searches = [self._open[number] for number in self._seekers.pop(outcome.id, ())]
            for search in searches:
                del search.states[outcome.id]
            clients = dict.fromkeys([search.client for search in searches])
            for client in self._state.watchers.pop(outcome.id, ()):
                client.watched.discard(outcome.id)
                clients[client] = None
            for client in clients:
                told.setdefault(client, []).append(outcome)
        for client, each in told.items():
            self._state.tell_settled(client, each)

    def report(self, peer: Peer, report: m.Report) -> None:
        """Another coordinator has answered; outcomes that it has came before."""
        search = self._open.get(report.token)
        if search is not None and peer in search.awaited:
            search.answers[peer] += 1
            if search.answers[peer] == search.parts:
                del search.awaited[peer]
            search.notes.update((note.id, note) for note in report.notes if search.states.get(note.id) == "")
            for task_id, state in report.states:
                if state and not search.states.get(task_id, state):
                    search.states[task_id] = state

    def lose(self, peer: Peer) -> None:
        """A connection is gone: of one who asked, or of one who was asked."""
        for number in [number for number, search in self._open.items() if search.peer == peer]:
            self._close(number)
        for search in self._open.values():
            name = search.awaited.pop(peer, None)
            if name is not None:
                search.silent.append(name)

    def finish(self) -> None:
        """End those searches that are done."""
        for number in self._done():
            search = self._close(number)
            silent = [*search.silent, *search.awaited.values()]
            search.done(search.states, silent[: m.MEMBER_LIMIT])
        if self._watching and self._state.now_s >= self._sweep_s:
            self._sweep_s = self._state.now_s + SWEEP_S
            self._take_back_watches()

    def _is_wanted(self, task_id: str) -> bool:
        """Whether a client here waits for it: not only other coordinators, which ask for clients of their own."""
        return any(not watcher.is_coordinator for watcher in self._state.watchers.get(task_id, ()))

    def _take_back_watches(self) -> None:
        """Of what nobody here waits for any more, as it has settled or they have gone, the others need not tell."""
        over = sorted([task_id for task_id in self._watching if not self._is_wanted(task_id)])
        self._watching.difference_update(over)
        for link in self._mesh.open_links():
            for each in chunks(over):
                self._state.send(link.peer, m.Unwatch(list(each)))

    def _close(self, number: int) -> _Search:
        search = self._open.pop(number)
        for task_id in search.states:
            seekers = self._seekers[task_id]
            seekers.remove(number)
            if not seekers:
                del self._seekers[task_id]
        self._claims.subtract(search.claimed)
        for task_id in search.claimed:
            if not self._claims[task_id]:
                del self._claims[task_id]
        return search

    def _done(self) -> Iterable[int]:
        now_s = self._state.now_s
        return [number for number, each in self._open.items() if not each.awaited or each.deadline_s <= now_s]

    def check(self) -> None:
        """Raise AssertionError unless those who look for a call are found by it. For tests."""
        found = {(task_id, number) for task_id, numbers in self._seekers.items() for number in numbers}
        wanted = {(task_id, number) for number, search in self._open.items() for task_id in search.states}
        assert found == wanted, f"searches are found by {found - wanted} and not by {wanted - found}"

    def next_s(self) -> float | None:
        """Monotonic time of the first deadline."""
        times = [each.deadline_s for each in self._open.values()]
        return min([*times, self._sweep_s] if self._watching else times, default=None)
