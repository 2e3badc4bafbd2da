"""How much may wait in a session before whoever submits more waits, too."""

from __future__ import annotations

import pytest

from actorq.client.pending import Pending
from actorq.client.session import Session
from actorq.config import ClientSettings
from actorq.errors import OperationalError
from actorq.wire.records import Call, Node, Plan


class IdleSession(Session):
    """A session whose thread is far behind: nothing leaves."""

    def _start(self) -> None:
        self._link = IdleLink()  # type: ignore[assignment]
        self.core = self._new_core("tcp://me:1")
        self.core.is_open = True


class IdleLink:
    asleep = False

    def wake(self) -> None:
        """Nobody is there."""


@pytest.fixture
def session() -> Session:
    return IdleSession(["tcp://127.0.0.1:1"], ClientSettings(outbox_limit=4))


def submit_plan(session: Session, task_id: str) -> None:
    plan = Plan(f"plan of {task_id}", [Node(Call(task_id, 1, b""))])
    session.submit_plan(plan, [Pending(task_id, None)], timeout_s=0.0)


def test_no_more_workflows_wait_than_there_is_room_for(session: Session) -> None:
    for task_id in "abcd":
        submit_plan(session, task_id)
    with pytest.raises(OperationalError, match="took no more calls"):
        submit_plan(session, "e")
    assert len(session.core.plans) == 4 and "e" not in session.core.pending


def test_calls_that_wait_leave_less_room_for_workflows(session: Session) -> None:
    submit_plan(session, "a")
    for task_id in "bcd":
        session.submit(Pending(task_id, None), Call(task_id, 1, b""), timeout_s=0.0)
    with pytest.raises(OperationalError, match="took no more calls"):
        submit_plan(session, "e")
