"""Results on their way straight to clients."""

from __future__ import annotations

from typing import Any

import pytest

from actorq.errors import BadAddress
from actorq.wire.frames import TO_REPLY_SOCKET, unpack
from actorq.wire.messages import Results
from actorq.wire.records import SUCCESS, Outcome
from actorq.worker import replies
from actorq.worker.core import ReplyTo
from actorq.worker.replies import BACKLOG, BATCH, IDLE_S, Replies
from actorq.worker.sender import Sender


class FakeLink:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.hung_up: list[int] = []
        self.sent: list[tuple[int, Results]] = []
        self.waiting = 0

    def call(self, address: str, key: str = "") -> int:
        if address == "nonsense":
            raise BadAddress(address)
        self.called.append(address)
        return len(self.called)

    def send(self, peer: int, message: Any, urgent: bool = False) -> None:
        results = unpack(message, TO_REPLY_SOCKET)
        assert isinstance(results, Results)
        self.sent.append((peer, results))

    def backlog(self, peer: int) -> int:
        return self.waiting

    def hang_up(self, peer: int) -> None:
        self.hung_up.append(peer)


@pytest.fixture
def link() -> Any:
    return FakeLink()


@pytest.fixture
def sender(link: Any) -> Replies:
    return Replies(link, Sender(link))


def outcomes(count: int = 1) -> list[Outcome]:
    return [Outcome(str(number), 1, SUCCESS, b"\x01") for number in range(count)]


A, B = ReplyTo("session-a", "tcp://a:1"), ReplyTo("session-b", "tcp://b:1")


def test_each_client_is_called_once_and_knows_its_results_by_its_session(link: Any, sender: Replies) -> None:
    assert sender.send(A, outcomes(), 0.0) and sender.send(B, outcomes(), 0.0) and sender.send(A, outcomes(), 0.0)
    assert link.called == [A.address, B.address]
    assert [(peer, results.session) for peer, results in link.sent] == [(1, A.session), (2, B.session), (1, A.session)]


def test_many_results_go_in_several_messages(link: Any, sender: Replies) -> None:
    sender.send(A, outcomes(2 * BATCH + 1), 0.0)
    assert [len(results.outcomes) for _, results in link.sent] == [BATCH, BATCH, 1]


def test_a_client_that_does_not_take_its_results_gets_the_next_ones_in_another_way(link: Any, sender: Replies) -> None:
    link.waiting = BACKLOG
    assert sender.send(A, outcomes(), 0.0)
    link.waiting = BACKLOG + 1
    assert not sender.send(A, outcomes(), 0.0)


def test_an_address_that_cannot_be_called_is_no_error_of_the_worker(link: Any, sender: Replies) -> None:
    assert not sender.send(ReplyTo("session", "nonsense"), outcomes(), 0.0)


def test_when_a_connection_is_lost_all_sessions_behind_it_are_named(link: Any, sender: Replies) -> None:
    again = ReplyTo("session-again", A.address)
    sender.send(A, outcomes(), 0.0)
    sender.send(again, outcomes(), 0.0)
    assert sender.lose(1) == {A, again} and sender.lose(1) == set()
    sender.send(A, outcomes(), 0.0)
    assert len(link.called) == 2


def test_a_connection_that_is_not_used_is_hung_up(link: Any, sender: Replies) -> None:
    sender.send(A, outcomes(), 0.0)
    sender.send(B, outcomes(), 10.0)
    sender.hang_up_idle(IDLE_S)
    assert link.hung_up == [1]
    assert sender.lose(1) == set()


def test_of_too_many_connections_the_one_that_was_not_used_longest_goes(
    link: Any, sender: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "LIMIT", 2)
    sender.send(A, outcomes(), 0.0)
    sender.send(B, outcomes(), 1.0)
    sender.send(A, outcomes(), 2.0)
    sender.send(ReplyTo("session-c", "tcp://c:1"), outcomes(), 3.0)
    assert link.hung_up == [2]
