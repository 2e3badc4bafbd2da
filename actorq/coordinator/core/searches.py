"""Calls that this coordinator does not know, and others may: those are asked.

When a client wants to know of them, and before calls are taken that may be known elsewhere: ids that users chose, and
what a client brings that has lost its coordinator.

Two may ask each other at the same moment. Then the one with the smaller epoch comes first, and answers when it has taken
the call; the other one answers at once, and asks again, for what it hears may have been said before the first one asked.
Who has the other's answer already, and waits for a third one, comes first in any case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

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
LONGEST_S = 3.0
"""For how long at the most, however often those that come first put it off."""


@dataclass(slots=True, eq=False)
class _Search:
    client: Client
    peer: Peer
    done: Done
    states: dict[str, str]
    silent: list[str]
    deadline_s: float
    last_s: float
    """The latest deadline that it can have."""
    claimed: Sequence[str]
    """Ids of calls that are to be taken here, if nobody else has them."""
    notes: dict[str, Note]
    """What tasks have said of themselves."""
    names: dict[Peer, str] = field(default_factory=dict)
    """Of the coordinators that were asked, by their links."""
    awaited: dict[Peer, set[int]] = field(default_factory=dict)
    """The questions that are not answered, by the links."""
    overtaken: dict[Peer, set[int]] = field(default_factory=dict)
    """Those that were asked again since, by the links: of their answers only what is known counts."""

    def looks_for(self, task_ids: Sequence[str]) -> bool:
        """Whether it has not found one of these yet."""
        return any(self.states.get(task_id) == "" for task_id in task_ids)


class Searches:
    """Gathers what the others know; a search ends when all have answered, or at its deadline."""

    def __init__(self, state: State, mesh: Mesh) -> None:
        self._state = state
        self._mesh = mesh
        self._open: dict[_Search, None] = {}
        self._seekers: dict[str, list[_Search]] = {}
        """Open searches by each call that they look for."""
        self._asked: dict[int, _Search] = {}
        """Open searches by their questions that are not answered, or were asked again."""
        self._claims: Counter[str] = Counter()
        self._watching: set[str] = set()
        """Calls of which the others were asked to tell."""
        self._sweep_s = state.now_s
        self._parked: dict[Hashable, Callable[[], None]] = {}
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
        self.finish()  # There may be nobody to ask, and nothing to ask for.

    def has_claimed(self, task_ids: Sequence[str]) -> bool:
        """Whether one of these calls may be about to be taken here."""
        return any(task_id in self._claims for task_id in task_ids)

    def comes_first(self, task_ids: Sequence[str], asker: Client) -> bool:
        """Whether it is taken here rather than by the coordinator that asks now, if that wants to."""
        return self._state.epoch < asker.epoch or self._is_not_waited_for(asker, task_ids)

    def ask_again(self, task_ids: Sequence[str], asker: Client) -> None:
        """The coordinator that asks now comes first. What it has not answered here it is to answer after that."""
        for search, link in self._waiting_for(asker, task_ids):
            search.deadline_s = min(self._state.now_s + PATIENCE_S, search.last_s)
            self._ask(search, link)

    def _is_not_waited_for(self, asker: Client, task_ids: Sequence[str]) -> bool:
        """Whether a claim to one of these does not wait for the one that asks now: it was first, and others are slow."""
        return len(self._waiting_for(asker, task_ids)) < len(self._claims_to(task_ids))

    def _claims_to(self, task_ids: Sequence[str]) -> list[_Search]:
        return [search for search in self._open if search.claimed and search.looks_for(task_ids)]

    def _waiting_for(self, asker: Client, task_ids: Sequence[str]) -> list[tuple[_Search, PeerLink]]:
        """Searches that claim one of these and have no answer of the one that asks now, with the link to it."""
        links = [link for link in self._mesh.open_links() if link.member.epoch == asker.epoch]
        claims = self._claims_to(task_ids)
        return [(search, link) for search in claims for link in links if link.peer in search.awaited]

    def park(self, what: Hashable, question: Callable[[], None]) -> None:
        """Have a question of another coordinator's answered when it is known what becomes of what was claimed.

        `what` it asks: who asks that again wants an answer to the last question only.
        """
        self._parked[what] = question

    def answer_parked(self) -> None:
        """Calls that were claimed may have been taken by now."""
        parked, self._parked = self._parked, {}
        for question in parked.values():
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
        deadline_s, last_s = self._state.now_s + PATIENCE_S, self._state.now_s + LONGEST_S
        notes = {} if notes is None else notes
        search = _Search(client, peer, done, states, silent, deadline_s, last_s, claimed, notes)
        self._open[search] = None
        for task_id in states:
            self._seekers.setdefault(task_id, []).append(search)
        for link in self._mesh.open_links() if unknown else ():
            self._ask(search, link)

    def _ask(self, search: _Search, link: PeerLink) -> None:
        """Ask one coordinator, maybe again."""
        search.overtaken.setdefault(link.peer, set()).update(search.awaited.pop(link.peer, ()))
        search.names[link.peer] = link.member.name
        questions: set[int] = set()
        for part in chunks([task_id for task_id, state in search.states.items() if not state]):
            self._count += 1
            self._asked[self._count] = search
            questions.add(self._count)
            self._state.send(link.peer, m.Query(self._count, list(part)))
        if questions:
            search.awaited[link.peer] = questions

    def _forget_questions(self, search: _Search, peer: Peer) -> bool:
        """Whether there were some."""
        questions = search.awaited.pop(peer, None)
        for token in (questions or set()) | search.overtaken.pop(peer, set()):
            del self._asked[token]
        return questions is not None

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
            searches = self._seekers.pop(outcome.id, [])
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
        search, token = self._asked.get(report.token), report.token
        if search is None:
            return
        awaited, overtaken = search.awaited.get(peer, set()), search.overtaken.get(peer, set())
        if token not in awaited | overtaken:
            return
        del self._asked[token]
        overtaken.discard(token)
        if token in awaited:
            awaited.remove(token)
            if not awaited:
                del search.awaited[peer]
        search.notes.update((note.id, note) for note in report.notes if search.states.get(note.id) == "")
        for task_id, state in report.states:
            if state and not search.states.get(task_id, state):
                search.states[task_id] = state

    def lose(self, peer: Peer) -> None:
        """A connection is gone: of one who asked, or of one who was asked."""
        for search in [each for each in self._open if each.peer == peer]:
            self._close(search)
        for search in self._open:
            if self._forget_questions(search, peer):
                search.silent.append(search.names[peer])

    def finish(self) -> None:
        """End those searches that are done."""
        for search in self._done():
            silent = [*search.silent, *[search.names[peer] for peer in search.awaited]]
            self._close(search)
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

    def _close(self, search: _Search) -> None:
        del self._open[search]
        for peer in [*search.awaited, *search.overtaken]:
            self._forget_questions(search, peer)
        for task_id in search.states:
            seekers = self._seekers[task_id]
            seekers.remove(search)
            if not seekers:
                del self._seekers[task_id]
        self._claims.subtract(search.claimed)
        for task_id in search.claimed:
            if not self._claims[task_id]:
                del self._claims[task_id]

    def _done(self) -> list[_Search]:
        now_s = self._state.now_s
        return [search for search in self._open if not search.awaited or search.deadline_s <= now_s]

    def check(self) -> None:
        """Raise AssertionError unless those who look for a call are found by it. For tests."""
        found = {(task_id, search) for task_id, searches in self._seekers.items() for search in searches}
        wanted = {(task_id, search) for search in self._open for task_id in search.states}
        assert found == wanted, f"searches are found by {found - wanted} and not by {wanted - found}"
        asked = {
            token
            for search in self._open
            for questions in (*search.awaited.values(), *search.overtaken.values())
            for token in questions
        }
        assert asked == self._asked.keys(), f"questions are {asked}, and known are {self._asked.keys()}"

    def next_s(self) -> float | None:
        """Monotonic time of the first deadline."""
        times = [each.deadline_s for each in self._open]
        return min([*times, self._sweep_s] if self._watching else times, default=None)
