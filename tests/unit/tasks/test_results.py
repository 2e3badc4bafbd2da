"""Results, and sets of them, with a mesh that the test speaks for."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from actorq import AsyncResult, GroupResult, ResultSet
from actorq.client.core import Client
from actorq.config import ClientSettings
from actorq.errors import ImproperlyConfigured, TimeoutError
from actorq.native import NativeBell
from actorq.tasks.gathering import gather
from actorq.tasks.linked import LinkedResult
from actorq.wire.payload import decode_failure, dumps, encode_failure, loads
from actorq.wire.records import FAILURE, SUCCESS, Call, Note, Outcome


class SpokenFor:
    """What results ask of, as far as these tests go."""

    def __init__(self) -> None:
        self.listeners: dict[str, list[Callable[[Note], None]]] = {}
        self.noted: list[Note] = []
        self.asked = 0
        self.revoked: list[str] = []

    def now_s(self) -> float:
        return time.monotonic()

    def new_bell(self) -> NativeBell:
        return NativeBell()

    def open_outcome(self, outcome: Outcome) -> Any:
        body = outcome.body
        assert isinstance(body, bytes)
        return loads(body) if outcome.state == SUCCESS else decode_failure(body)

    def open_meta(self, meta: bytes) -> Any:
        return loads(meta)

    def subscribe(self, result: AsyncResult[Any], notify: Callable[[], None]) -> Callable[[], None]:
        result.waiters = [*(result.waiters or []), notify]
        if result.is_settled():
            result.notify()
        return lambda: None

    def listen(self, task_id: str, listener: Callable[[Note], None]) -> Callable[[], None]:
        self.listeners.setdefault(task_id, []).append(listener)
        return lambda: self.listeners[task_id].remove(listener)

    def notes_of(self, results: Sequence[AsyncResult[Any]]) -> list[Note]:
        self.asked += 1
        ids = {each.id for each in results}
        return [note for note in self.noted if note.id in ids]

    def wait_all(
        self, results: Sequence[AsyncResult[Any]], timeout_s: float | None, until_failure: bool = False
    ) -> bool:
        return all(each.is_settled() for each in results)

    def revoke(
        self, ids: Sequence[str], terminate: bool, wait: bool, timeout_s: float, roots: Sequence[str] = ()
    ) -> dict[str, str]:
        self.revoked += ids
        self.roots = list(roots)
        return {}

    @property
    def control(self) -> Any:
        return self

    def open_calls(self, task_ids: Sequence[str], timeout: float) -> tuple[list[str], list[str]]:
        return [f"{each} and more" for each in task_ids], ["root"]

    def children_of(self, task_id: str) -> list[Any]:
        return []

    def say(self, note: Note) -> None:
        for listener in list(self.listeners.get(note.id, ())):
            listener(note)


@pytest.fixture
def mesh() -> Any:
    return SpokenFor()


def result_of(mesh: Any, task_id: str, value: Any = None, error: Exception | None = None) -> AsyncResult[Any]:
    """A result that has settled."""
    outcome = Outcome(task_id, 1, SUCCESS, dumps(value))
    if error is not None:
        outcome = Outcome(task_id, 1, FAILURE, encode_failure(error, "Traceback: …"))
    return AsyncResult(task_id, None, outcome, mesh=mesh)


def waiting(mesh: Any, task_id: str = "1") -> AsyncResult[Any]:
    """The result of a call that was submitted here."""
    return AsyncResult(task_id, Call(task_id, 1, b""), mesh=mesh)


# -- messages ---------------------------------------------------------------------------------------------------------


def test_get_tells_each_state_that_is_heard_of_in_celerys_form(mesh: Any) -> None:
    """The loop of a progress bar: `get(on_message=…, propagate=False)`."""
    result = waiting(mesh)
    heard: list[Any] = []
    says: list[Any] = [
        lambda: mesh.say(Note("1", 1, "PROGRESS", dumps({"done": 1}))),
        lambda: mesh.say(Note("1", 1, "PROGRESS", dumps({"done": 2}))),
        lambda: mesh.say(Note("1", 1, "RETRY", encode_failure(ValueError("again"), "Traceback: …"))),
        lambda: result.settle(Outcome("1", 2, FAILURE, encode_failure(KeyError("x"), "Traceback: last"))),
    ]

    def on_message(message: dict[str, Any]) -> None:
        heard.append(message)
        if says:
            says.pop(0)()

    mesh.noted = [Note("1", 1, "STARTED", dumps({"pid": 7, "hostname": "w"}))]
    value = result.get(timeout=10, propagate=False, on_message=on_message)
    assert isinstance(value, KeyError)
    states = [(each["status"], each["result"]) for each in heard]
    assert states[:3] == [
        ("STARTED", {"pid": 7, "hostname": "w"}),
        ("PROGRESS", {"done": 1}),
        ("PROGRESS", {"done": 2}),
    ]
    assert heard[0] == {
        "task_id": "1",
        "status": "STARTED",
        "result": {"pid": 7, "hostname": "w"},
        "traceback": None,
        "children": [],
    }
    assert heard[3]["status"] == "RETRY" and isinstance(heard[3]["result"], ValueError) and heard[3]["traceback"]
    assert heard[4]["status"] == "FAILURE" and heard[4]["traceback"] == "Traceback: last"
    assert len(heard) == 5 and mesh.listeners == {"1": []}


def test_messages_come_where_get_was_called(mesh: Any) -> None:
    result = waiting(mesh)
    threads: list[int] = []

    def tell() -> None:
        mesh.say(Note("1", 1, "OWN"))
        result.settle(_done("1"))

    teller = threading.Thread(target=tell)

    def on_message(message: dict[str, Any]) -> None:
        threads.append(threading.get_ident())
        if message["status"] == "STARTED":
            teller.start()

    mesh.noted = [Note("1", 1, "STARTED")]
    result.get(timeout=10, on_message=on_message)
    teller.join(10)
    assert set(threads) == {threading.get_ident()} and len(threads) == 3


def test_the_call_of_another_session_is_asked_about_again_and_again(mesh: Any) -> None:
    result: AsyncResult[Any] = AsyncResult("1", None, mesh=mesh)
    heard: list[str] = []
    mesh.noted = [Note("1", 1, "A")]

    def on_interval() -> None:
        mesh.noted = [Note("1", 1, "B")]
        if mesh.asked > 2:
            result.settle(_done("1"))

    result.get(timeout=10, interval=0.01, on_interval=on_interval, on_message=lambda each: heard.append(each["status"]))
    assert heard == ["A", "B", "SUCCESS"]


def test_get_gives_up_when_the_time_is_over(mesh: Any) -> None:
    with pytest.raises(TimeoutError, match="1 did not come within"):
        waiting(mesh).get(timeout=0.02, on_interval=lambda: None, interval=0.001)


def test_the_core_hands_notes_to_whoever_listens_to_that_call() -> None:
    core = Client("client", "session", ("tcp://a:1",), "tcp://me:1", ClientSettings())
    heard: list[Note] = []
    core.listeners["1"] = [heard.append]
    core.told([Note("2", 1, "OTHER"), Note("1", 1, "OWN")])
    assert heard == [Note("1", 1, "OWN")]


def _done(task_id: str) -> Outcome:
    return Outcome(task_id, 1, SUCCESS, dumps(None))


# -- one result -------------------------------------------------------------------------------------------------------


def test_callback_gets_id_and_value(mesh: Any) -> None:
    got: list[Any] = []
    assert result_of(mesh, "1", 5).get(callback=lambda *parts: got.append(parts)) == 5
    assert got == [("1", 5)]


def test_a_state_that_is_not_to_propagate_does_not(mesh: Any) -> None:
    failed = result_of(mesh, "1", error=ValueError("no"))
    assert isinstance(failed.get(PROPAGATE_STATES=frozenset({"REVOKED"})), ValueError)
    with pytest.raises(ValueError, match="no"):
        failed.maybe_throw()
    assert isinstance(failed.maybe_throw(propagate=False), ValueError)


def test_a_result_is_its_id(mesh: Any) -> None:
    result = result_of(mesh, "1")
    assert result == "1" and result != "2" and str(result) == "1" and hash(result) == hash("1")
    assert {result: 1}[result_of(mesh, "1")] == 1


def test_then_tells_success_from_failure(mesh: Any) -> None:
    mesh.deliverer = lambda fn: fn
    told: list[str] = []
    for each in (result_of(mesh, "good"), result_of(mesh, "bad", error=ValueError())):
        each.then(lambda result: told.append(f"{result} yes"), lambda result: told.append(f"{result} no"))
    assert told == ["good yes", "bad no"]


def test_parents_and_tuples(mesh: Any) -> None:
    first: AsyncResult[Any] = AsyncResult("1", None, mesh=mesh)
    last: LinkedResult[Any] = LinkedResult("2", None, mesh=mesh, parent=first)
    assert last.as_tuple() == (("2", (("1", None), None)), None)
    assert last.as_list() == ["2", "1"] and first.parent is None and first.children == []


# -- sets of results --------------------------------------------------------------------------------------------------


def test_a_set_is_a_list_of_results_each_once(mesh: Any) -> None:
    one, two = result_of(mesh, "1", 1), result_of(mesh, "2", 2)
    both = ResultSet([one])
    both.add(two)
    both.update([one, two])
    assert list(both) == [one, two] and len(both) == 2 and both[1] is two
    both.remove("1")
    both.discard(one)
    with pytest.raises(KeyError):
        both.remove(one)
    assert both.results == [two]
    both.clear()
    assert both.get() == [] and both.ready() and both.successful() and not both.waiting()


def test_a_set_gives_its_values_in_order_or_to_a_callback(mesh: Any) -> None:
    both = ResultSet([result_of(mesh, "1", 1), result_of(mesh, "2", 2)])
    got: list[Any] = []
    assert both.get() == both.join() == [1, 2]
    assert both.get(callback=lambda *parts: got.append(parts)) == [] and got == [("1", 1), ("2", 2)]
    with pytest.raises(ImproperlyConfigured, match="on_message"):
        both.join(on_message=print)
    messages: list[str] = []
    assert both.get(on_message=lambda message: messages.append(message["task_id"])) == [1, 2]
    assert messages == ["1", "2"]


def test_what_has_failed_is_raised_rather_than_that_others_did_not_come_in_time(mesh: Any) -> None:
    failed, missing = result_of(mesh, "2", error=ValueError("no")), waiting(mesh, "3")
    some = [result_of(mesh, "1", 1), missing, failed]
    for get in (ResultSet(some).get, lambda timeout: gather(mesh, some, timeout)):
        with pytest.raises(ValueError, match="no"):
            get(timeout=0.0)
    with pytest.raises(TimeoutError, match="1 of 3 results did not come within"):
        ResultSet(some).get(timeout=0.0, propagate=False)
    for get in (ResultSet(some[:2]).get, lambda timeout: gather(mesh, some[:2], timeout)):
        with pytest.raises(TimeoutError, match="1 of 2 results did not come within"):
            get(timeout=0.0)


def test_a_set_says_how_far_it_is(mesh: Any) -> None:
    failed = result_of(mesh, "2", error=ValueError("no"))
    mixed = ResultSet([result_of(mesh, "1", 1), failed])
    assert mixed.ready() and mixed.failed() and not mixed.successful() and mixed.completed_count() == 1
    with pytest.raises(ValueError, match="no"):
        mixed.get()
    one, error = mixed.get(propagate=False)
    assert one == 1 and isinstance(error, ValueError)
    unready = ResultSet([result_of(mesh, "1", 1), waiting(mesh, "3")])
    with pytest.raises(TimeoutError, match="1 of 2 results"):
        unready.get(timeout=0.01)


def test_a_group_is_cancelled_with_all_that_belongs_to_it(mesh: Any) -> None:
    first: AsyncResult[Any] = AsyncResult("first", None, mesh=mesh)
    members: list[Any] = [LinkedResult(name, None, mesh=mesh, parent=first) for name in "ab"]
    GroupResult("g", members, first).cancel()
    assert sorted(mesh.revoked) == ["a", "b", "first"] and mesh.roots == ["first"]
    mesh.revoked.clear()
    GroupResult("g", members, first).revoke()
    assert mesh.revoked == ["a", "b"]


def test_a_result_that_was_made_of_an_id_asks_what_belongs_to_it_when_it_is_cancelled(mesh: Any) -> None:
    made: AsyncResult[Any] = AsyncResult("a", None, mesh=mesh, is_bare=True)
    made.cancel()
    assert (mesh.revoked, mesh.roots) == (["a and more", "a"], ["root", "a"])
    mesh.revoked.clear()
    made.cancel(recursive=False)
    assert (mesh.revoked, mesh.roots) == (["a"], [])
    mesh.revoked.clear()
    ResultSet([made, result_of(mesh, "b", 1)]).cancel()
    assert (mesh.revoked, mesh.roots) == (["a and more", "a", "b"], ["root", "a", "b"])


def test_a_result_of_a_call_made_here_asks_nobody_also_when_it_has_settled(mesh: Any) -> None:
    result_of(mesh, "b", 1).cancel()
    assert (mesh.revoked, mesh.roots) == (["b"], ["b"])


def test_then_of_a_set_waits_for_all(mesh: Any) -> None:
    mesh.deliverer = lambda fn: fn
    told: list[int] = []
    late = waiting(mesh, "2")
    ResultSet([result_of(mesh, "1", 1), late]).then(lambda results: told.append(len(results)))
    assert told == []
    late.settle(_done("2"))
    assert told == [2]


def test_results_are_pickled_as_their_ids() -> None:
    group = GroupResult("g", [AsyncResult("1", None)], AsyncResult("0", None))
    again = pickle.loads(pickle.dumps(group))
    assert again == group and again.parent == "0"
