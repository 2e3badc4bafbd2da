"""Tasks that do more than return: retries, notes, hooks and calls of their own, on a real worker node."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.frames import bytes_of
from actorq.wire.payload import decode_failure, loads
from actorq.wire.records import FAILURE, REPLACED, REVOKED, SUCCESS, CallSpec, Note, Outcome
from tests.integration.fake_coordinator import CLIENT, FakeCoordinator
from tests.integration.link_thread import LinkThread
from tests.integration.test_worker_node import error_of, node_of, value_of
from tests.support import Nodes, eventually


@pytest.fixture
def coordinator() -> Iterator[FakeCoordinator]:
    with FakeCoordinator() as fake:
        yield fake


class ReplySocket(LinkThread):
    """A client's, as far as a worker sees it."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.address = ""
        super().__init__()

    def _open(self) -> None:
        self.address = self._link.listen("tcp://127.0.0.1:*")

    def _turn(self, events: Any) -> None:
        for event in events:
            if hasattr(event, "frames"):
                self.messages.append(frames.unpack(event.frames, frames.TO_REPLY_SOCKET))

    def notes(self) -> list[Note]:
        return [note for each in list(self.messages) if isinstance(each, m.Told) for note in each.notes]

    def outcomes(self) -> list[str]:
        return [
            each.id for message in list(self.messages) if isinstance(message, m.Results) for each in message.outcomes
        ]


@pytest.fixture
def client(coordinator: FakeCoordinator) -> Iterator[ReplySocket]:
    with ReplySocket() as client:
        yield client


def states_of(notes: list[Note], task_id: str) -> list[str]:
    return [note.state for note in notes if note.id == task_id]


def deliver(coordinator: FakeCoordinator, client: ReplySocket, task: str, *args: Any) -> str:
    name = f"tests.integration.worker_tasks.{task}"
    coordinator.define(CallSpec(name), client.address)
    (task_id,) = coordinator.deliver(task, *args, client=CLIENT)
    return task_id


def test_a_call_that_fails_twice_succeeds_at_the_third_attempt_and_its_client_hears_of_it_once(
    nodes: Nodes, coordinator: FakeCoordinator, client: ReplySocket
) -> None:
    node_of(nodes, coordinator)
    task_id = deliver(coordinator, client, "succeed_at_retry", 2)
    for retries in (1, 2):
        call = coordinator.deliver_again(task_id)
        assert call.extra is not None and call.extra.retries == retries
        assert call.not_before > time.time()
    outcome = eventually(
        lambda: next((each for each in finished(coordinator, task_id) if each.state != REPLACED), None), 20, "the end"
    )
    assert isinstance(outcome, Outcome)
    assert value_of(outcome) == 2
    eventually(lambda: client.outcomes() == [task_id], 20, "the client to hear of the end, and of nothing else")
    eventually(
        lambda: states_of(client.notes(), task_id) == ["RETRY", "RETRY"], 20, "the client to hear of the retries"
    )
    error = decode_failure(client.notes()[0].meta)
    assert isinstance(error, ValueError) and str(error) == "not yet"


def finished(coordinator: FakeCoordinator, task_id: str) -> list[Outcome]:
    return [each for report in coordinator.all(m.Finished) for each in report.outcomes if each.id == task_id]


def test_progress_comes_to_the_client_and_the_coordinator_while_the_task_runs(
    nodes: Nodes, coordinator: FakeCoordinator, client: ReplySocket
) -> None:
    node_of(nodes, coordinator)
    task_id = deliver(coordinator, client, "progress_until_cancelled")
    eventually(lambda: "PROGRESS" in states_of(client.notes(), task_id), 20, "progress at the client")
    noted = coordinator.wait_for(m.Noted).notes[0]
    assert noted.id == task_id and loads(noted.meta) == {"done": 1, "total": 2, "message": "half"}
    assert not coordinator.outcomes()
    coordinator.send(coordinator.work, m.Revoke([task_id]))
    assert value_of(coordinator.wait_for_outcome(task_id)) == "cancelled"


def test_a_loop_that_keeps_the_cpu_hears_that_it_is_cancelled(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    """Its hub never comes to the connection that carries calls, so the word has to come another way."""
    node_of(nodes, coordinator)
    (task_id,) = coordinator.deliver("spin_until_cancelled")
    coordinator.wait_until_running(task_id)
    coordinator.send(coordinator.control, m.Revoke([task_id]))
    assert value_of(coordinator.wait_for_outcome(task_id)) == "cancelled"


def test_only_calls_that_run_for_long_say_that_they_have_started(
    nodes: Nodes, coordinator: FakeCoordinator, client: ReplySocket
) -> None:
    """So that PENDING does not stand for what runs, and short calls cost nothing."""
    node = node_of(nodes, coordinator)
    short = deliver(coordinator, client, "add", 1, 2)
    long = deliver(coordinator, client, "nap", 1.6)
    assert value_of(coordinator.wait_for_outcome(long)) == 1.6
    assert states_of(client.notes(), long) == ["STARTED"] and states_of(client.notes(), short) == []
    (note,) = [note for each in coordinator.all(m.Noted) for note in each.notes]
    assert loads(note.meta)["pid"] == node.pid


@pytest.mark.parametrize("task", ["speak_and_nap", "speak_and_nap_as_a_coroutine"])
def test_what_a_task_says_first_is_not_followed_by_its_start(
    nodes: Nodes, coordinator: FakeCoordinator, client: ReplySocket, task: str
) -> None:
    """The last word is the state of the call."""
    node_of(nodes, coordinator)
    task_id = deliver(coordinator, client, task, 1.6)
    assert value_of(coordinator.wait_for_outcome(task_id)) == 1.6
    assert states_of(client.notes(), task_id) == ["PROGRESS"]
    assert [note.state for each in coordinator.all(m.Noted) for note in each.notes] == ["PROGRESS"]


def test_a_note_from_a_thread_of_the_task_arrives(
    nodes: Nodes, coordinator: FakeCoordinator, client: ReplySocket
) -> None:
    node_of(nodes, coordinator)
    task_id = deliver(coordinator, client, "note_from_a_thread")
    eventually(lambda: states_of(client.notes(), task_id) == ["THREADED"], 20, "the note")
    assert value_of(coordinator.wait_for_outcome(task_id)) == "told"


def test_hooks_run_on_the_worker_and_the_instance_stays(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    node_of(nodes, coordinator)
    for count in (1, 2):
        (task_id,) = coordinator.deliver("counted")
        assert value_of(coordinator.wait_for_outcome(task_id)) == ["surrounded", count]
    (task_id,) = coordinator.deliver("count_of_successes")
    assert value_of(coordinator.wait_for_outcome(task_id)) == 2


def test_what_a_task_raises_to_give_up_its_call_ends_that(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    node_of(nodes, coordinator)
    (ignored,) = coordinator.deliver("give_up", "ignore")
    (rejected,) = coordinator.deliver("give_up", "reject")
    (requeued,) = coordinator.deliver("give_up", "requeue")
    assert coordinator.wait_for_outcome(ignored).state == REVOKED
    outcome = coordinator.wait_for_outcome(rejected)
    assert outcome.state == FAILURE and "no thanks" in str(error_of(outcome))
    assert coordinator.wait_for_outcome(requeued).state == REPLACED


def test_a_coroutine_knows_its_call_and_can_ask_to_be_retried(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    node_of(nodes, coordinator)
    (task_id,) = coordinator.deliver("retry_as_a_coroutine")
    call = coordinator.deliver_again(task_id)
    assert call.extra is not None and call.extra.retries == 1
    outcome = eventually(
        lambda: next((each for each in finished(coordinator, task_id) if each.state == SUCCESS), None), 20, "the end"
    )
    assert isinstance(outcome, Outcome) and loads(bytes_of(outcome.body)) == [task_id, 1]


def test_a_node_imports_what_it_was_told_to_discover(nodes: Nodes, coordinator: FakeCoordinator) -> None:
    node_of(nodes, coordinator)
    assert "tests.integration.discovered.tasks.found" in coordinator.wait_for(m.WorkerHello).offers
    assert "shared_by_all" in coordinator.wait_for(m.WorkerHello).offers
