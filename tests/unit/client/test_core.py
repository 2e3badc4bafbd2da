"""The client's decisions, without a network."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

from actorq.client.core import Ask, Client, Effects, LookUp, Order, Watch
from actorq.client.pending import Pending
from actorq.config import ClientSettings
from actorq.errors import CallRefused, EncodeError
from actorq.wire import messages as m
from actorq.wire.messages import CODE_MISSING, Message
from actorq.wire.records import SUCCESS, Call, CallSpec, Outcome
from tests.unit.client.core_support import failure_of

PEER = 1
M = TypeVar("M", bound=Message)


def outcome_of(task_id: str) -> Outcome:
    return Outcome(task_id, 1, SUCCESS, b"")


def sent(effects: Effects, kind: type[M]) -> list[M]:
    return [message for message in effects.sends if isinstance(message, kind)]


@pytest.fixture
def client() -> Client:
    """One that a coordinator has welcomed."""
    client = Client("client", "session", ["tcp://coordinator:1"], "tcp://client:1", ClientSettings())
    assert client.finish().dial
    client.dialled(PEER)
    client.opened(PEER)
    (hello,) = sent(client.finish(), m.ClientHello)
    client.receive(PEER, m.Welcome(1, hello.nonce, "coordinator", "epoch", window=100))
    return client


def submit(client: Client, *task_ids: str, code: str = "") -> list[Pending]:
    client.specs.append((len(client.specs) + 1, CallSpec("task", code=code)))
    made = []
    for task_id in task_ids:
        pending = Pending(task_id, Call(task_id, len(client.specs), b""))
        client.pending[task_id] = pending
        client.outbox.append(pending.call)  # type: ignore[arg-type]
        made.append(pending)
    return made


# -- look-ups ----------------------------------------------------------------------------------------------------


def test_two_look_ups_of_one_call_both_find_its_outcome(client: Client) -> None:
    client.requests.extend([Ask(1, ["call"]), Ask(2, ["call"])])
    client.finish()
    outcome = outcome_of("call")
    answers: dict[int, Any] = {}
    for token in (1, 2):
        client.receive(PEER, m.Settled([outcome]) if token == 1 else m.Ping())
        client.receive(PEER, m.Report(token, []))
        answers.update(client.finish().answers)
    assert answers == {1: LookUp({}, {"call": outcome}), 2: LookUp({}, {"call": outcome})}
    assert not client._questions.sought


def test_a_look_up_that_begins_when_the_outcome_has_come_does_not_forget_it(client: Client) -> None:
    client.requests.append(Ask(1, ["call"]))
    client.finish()
    client.receive(PEER, m.Settled([outcome_of("call")]))
    client.requests.append(Ask(2, ["call"]))
    client.finish()
    client.receive(PEER, m.Report(1, []))
    assert client.finish().answers[1].outcomes == {"call": outcome_of("call")}


def test_a_look_up_of_a_call_that_is_awaited_here_finds_its_outcome(client: Client) -> None:
    (pending,) = submit(client, "call")
    client.requests.append(Ask(1, ["call"]))
    client.finish()
    client.receive(PEER, m.Settled([outcome_of("call")]))
    client.receive(PEER, m.Report(1, []))
    assert client.finish().answers[1].outcomes == {"call": outcome_of("call")}
    assert pending.outcome == outcome_of("call")


def test_a_look_up_is_made_again_after_a_reconnect_and_leaves_nothing_behind(client: Client) -> None:
    client.requests.append(Ask(1, ["call"]))
    client.finish()
    client.lose(PEER)
    client.advance(1.0)
    assert client.finish().dial
    client.dialled(2)
    client.opened(2)
    (hello,) = sent(client.finish(), m.ClientHello)
    client.receive(2, m.Welcome(1, hello.nonce, "coordinator", "epoch", window=100))
    assert len(sent(client.finish(), m.Query)) == 1
    client.receive(2, m.Report(1, []))
    assert client.finish().answers == {1: LookUp({}, {})}
    assert not client._questions.sought


# -- what cannot be sent -----------------------------------------------------------------------------------------


def test_calls_that_cannot_be_sent_fail_and_later_ones_go_out_with_their_options(client: Client) -> None:
    bad = submit(client, "one", "two")
    (message,) = sent(client.finish(), m.Submit)
    client.unsendable(message, ValueError("half a character"))
    for pending in bad:
        assert isinstance(failure_of(pending), EncodeError) and "half a character" in str(failure_of(pending))
    assert client.backlog() == 0
    (good,) = submit(client, "three")
    (message,) = sent(client.finish(), m.Submit)
    assert [number for number, _ in message.specs] == [1, 2]
    assert [call.id for call in message.calls] == ["three"] and not good.is_settled()


def test_a_function_that_cannot_be_sent_fails_the_calls_that_need_it(client: Client) -> None:
    client.codes["digest"] = b"code"
    (pending,) = submit(client, "one", code="digest")
    effects = client.finish()
    client.unsendable(sent(effects, m.Code)[0], ValueError("too large"))
    client.receive(PEER, m.Refused([("one", CODE_MISSING)]))
    client.receive(PEER, m.Accepted(sent(effects, m.Submit)[0].seq))
    assert isinstance(failure_of(pending), CallRefused) and "cannot be sent" in str(failure_of(pending))
    assert not client.finish().sends


def test_a_request_that_cannot_be_sent_is_answered_with_the_reason(client: Client) -> None:
    client.requests.extend([Order(1, "x", {}, (), 1.0), Ask(2, ["call"])])
    for message in client.finish().sends:
        client.unsendable(message, TypeError("no such type"))
    answers = client.finish().answers
    assert sorted(answers) == [1, 2]
    assert all(isinstance(answer, EncodeError) and "no such type" in str(answer) for answer in answers.values())
    assert not client._questions.sought


def test_a_watch_that_cannot_be_sent_fails_the_wait(client: Client) -> None:
    client.pending["call"] = pending = Pending("call", None)
    client.requests.append(Watch("call"))
    client.unsendable(client.finish().sends[0], ValueError("half a character"))
    assert isinstance(failure_of(pending), EncodeError)
