"""What this program asks the coordinator, until it is answered. With another coordinator it is asked anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.records import Note, Outcome


@dataclass(frozen=True, slots=True)
class Ask:
    """Look calls up; the answer comes as `Effects.answers[token]`: a LookUp."""

    token: int
    ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class LookUp:
    """What the coordinator knows: outcomes of calls that have settled, states of the others (``""``: unknown)."""

    states: dict[str, str]
    outcomes: dict[str, Outcome]
    notes: tuple[Note, ...] = ()
    """What tasks have said of themselves last."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Have the outcome of a call that another session submitted sent here. It stands in `pending` already."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Order:
    """Run a control command; the answer comes as `Effects.answers[token]`: a Replies message."""

    token: int
    command: str
    arguments: dict[str, Any]
    destination: Sequence[str]
    timeout_s: float


Request = Ask | Watch | Order


@dataclass(slots=True)
class Sought:
    """A call that is looked up."""

    askers: int = 0
    """Asks that wait for their answers."""
    outcome: Outcome | None = None
    """When it has come."""


class Questions:
    """Those that were put, and have no answer yet."""

    def __init__(self) -> None:
        self.sought: dict[str, Sought] = {}
        """Calls that are looked up, by id."""
        self._unanswered: dict[int, Ask | Order] = {}
        self._ordered_s: dict[int, float] = {}
        """When the orders among them were sent for the first time."""

    def put(self, request: Ask | Order, now_s: float) -> Message:
        """The message that asks."""
        self._unanswered[request.token] = request
        if isinstance(request, Ask):
            for task_id in set(request.ids):
                self.sought.setdefault(task_id, Sought()).askers += 1
            return m.Query(request.token, list(request.ids))
        self._ordered_s.setdefault(request.token, now_s)
        return m.Control(
            request.token, request.command, request.arguments, list(request.destination), request.timeout_s
        )

    def take(self, token: int) -> Ask | Order | None:
        """It is answered: what it was, if somebody waits for the answer."""
        self._ordered_s.pop(token, None)
        return self._unanswered.pop(token, None)

    def look_up(self, report: m.Report) -> LookUp | None:
        """The answer for the one who asked, if somebody did. The outcomes have come before the report."""
        request = self.take(report.token)
        if not isinstance(request, Ask):
            return None
        return LookUp(dict(report.states), self._take_outcomes(request), tuple(report.notes))

    def drop(self, token: int) -> bool:
        """It cannot be sent. Whether somebody waits for the answer."""
        request = self.take(token)
        if isinstance(request, Ask):
            self._take_outcomes(request)
        return request is not None

    def begin_anew(self, now_s: float) -> tuple[list[Ask | Order], list[m.Replies]]:
        """Another coordinator is there: what is to be put to it, and the answers to what is not.

        Orders whose askers have given up are not repeated: an old one to shut down would end new nodes.
        """
        unanswered, self._unanswered = self._unanswered, {}
        self.sought.clear()
        again: list[Ask | Order] = []
        over: list[m.Replies] = []
        for request in unanswered.values():
            if isinstance(request, Ask) or now_s < self._ordered_s[request.token] + request.timeout_s:
                again.append(request)
            else:
                del self._ordered_s[request.token]
                over.append(m.Replies(request.token, {}, list(request.destination)))
        return again, over

    def _take_outcomes(self, request: Ask) -> dict[str, Outcome]:
        """The outcomes that have come. They stay for those who ask for the same calls and have no answer yet."""
        outcomes: dict[str, Outcome] = {}
        for task_id in set(request.ids):
            sought = self.sought[task_id]
            sought.askers -= 1
            if not sought.askers:
                del self.sought[task_id]
            if sought.outcome is not None:
                outcomes[task_id] = sought.outcome
        return outcomes
