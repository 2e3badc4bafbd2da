"""Of Celery's users' pains: "unpickleable exceptions/results hang or crash".

Here every call settles at once, with what can be told of its exception, or with why its result cannot be carried; and
neither worker nor client comes to harm.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actorq import ActorQ
from actorq.errors import EncodeError, MessageTooLarge, RemoteError
from actorq.wire.payload import remote_traceback
from tests.integration import payload_tasks as tasks
from tests.integration.mesh import wait_for_workers
from tests.support import Nodes, free_address

APP = "tests.integration.payload_tasks"
WAIT_S = 30.0


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActorQ]:
    """The application on a mesh with one worker process."""
    with Nodes(tmp_path_factory.mktemp("mesh")) as nodes:
        address = free_address()
        nodes.start("coordinator", "--listen", address)
        nodes.start("worker", "-A", APP, "-u", address, "-c", "4")
        with tasks.app as app:
            app.url = address
            wait_for_workers(app, 1)
            yield app


@pytest.fixture(autouse=True)
def worker_lives_on(app: ActorQ) -> Iterator[None]:
    """The worker process is the same before and after."""
    before = tasks.pid.delay().get(timeout=WAIT_S)
    yield
    assert tasks.pid.delay().get(timeout=WAIT_S) == before


@pytest.mark.parametrize("kind", tasks.EXCEPTIONS)
@pytest.mark.parametrize("task", [tasks.raise_one, tasks.raise_one_later], ids=["function", "coroutine"])
def test_every_exception_settles_its_call_with_what_can_be_told_of_it(task: object, kind: str) -> None:
    result = task.delay(kind)  # type: ignore[attr-defined]
    error = result.get(timeout=WAIT_S, propagate=False)
    assert isinstance(error, Exception) and result.state == "FAILURE"
    assert "in raise_one" in (remote_traceback(error) or "")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("needs two arguments", r"no such thing \(7\)"),
        ("holds a lock", "locked"),
        ("cannot be pickled", "no pickle"),
        ("has a cause that cannot be carried", "outer"),
    ],
)
def test_an_exception_of_a_class_that_the_caller_has_arrives_as_itself(kind: str, says: str) -> None:
    with pytest.raises(Exception, match=says) as raised:
        tasks.raise_one.delay(kind).get(timeout=WAIT_S)
    assert type(raised.value) is type(tasks.EXCEPTIONS[kind]())


def test_its_attributes_arrive_where_they_can_be_carried_and_its_arguments_as_text_where_not() -> None:
    needs_two = tasks.raise_one.delay("needs two arguments").get(timeout=WAIT_S, propagate=False)
    assert isinstance(needs_two, tasks.NeedsTwo) and needs_two.code == 7
    holds_a_lock = tasks.raise_one.delay("holds a lock").get(timeout=WAIT_S, propagate=False)
    assert isinstance(holds_a_lock, tasks.HoldsALock)
    assert "Lock" in holds_a_lock.args[1] and not hasattr(holds_a_lock, "lock")


@pytest.mark.parametrize("kind", ["is of a local class", "ends the process", "interrupts", "ends a generator"])
def test_one_that_cannot_be_made_or_must_not_be_raised_here_is_named(kind: str) -> None:
    name = {"is of a local class": "Local"}.get(kind) or type(tasks.EXCEPTIONS[kind]()).__name__
    with pytest.raises(RemoteError, match=name):
        tasks.raise_one.delay(kind).get(timeout=WAIT_S)


@pytest.mark.parametrize(
    ("serializer", "kind"),
    [
        *[("msgpack", kind) for kind in tasks.RESULTS],
        *[("json", kind) for kind in tasks.RESULTS if kind != "an object"],  # Which is registered with json.
        *[("yaml", kind) for kind in tasks.RESULTS if kind not in ("a circle", "too much")],  # YAML carries circles.
    ],
)
def test_a_result_that_cannot_be_carried_fails_its_call_at_once(kind: str, serializer: str) -> None:
    result = tasks.return_one.apply_async((kind,), serializer=serializer)
    with pytest.raises(MessageTooLarge if kind == "too much" else EncodeError):
        result.get(timeout=WAIT_S)
    assert result.state == "FAILURE"


def test_the_error_says_where_in_the_result_the_culprit_is() -> None:
    with pytest.raises(EncodeError, match=r"value\['a'\]\[1\]\[1\]\['b'\]"):
        tasks.return_one.delay("deep within").get(timeout=WAIT_S)


@pytest.mark.parametrize("kind", ["cannot be pickled", "kills its reader"])
def test_an_exception_of_a_function_by_value_is_not_pickled_either(app: ActorQ, kind: str) -> None:
    def fail() -> None:
        from tests.integration import payload_tasks

        raise payload_tasks.EXCEPTIONS[kind]()

    error = app.submit(fail).get(timeout=WAIT_S, propagate=False)
    assert isinstance(error, type(tasks.EXCEPTIONS[kind]()))
