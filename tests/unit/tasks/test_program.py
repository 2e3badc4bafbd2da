"""The tasks of a program, as they travel together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

from actorq import ActorQ, current_task
from actorq.errors import NotRegistered
from actorq.tasks import travelling
from actorq.tasks.program import Program, pack
from tests.unit.tasks.support import make_app

SOURCE = """
@app.task(bind=True)
def first(self, x, y=SECOND):
    return [self.app.tasks["tests.second"](x), y, first.name]

@app.task
def second(x):
    return x + SECOND

@app.task
def holds(x):
    return lock
"""


def program_of(number: int) -> tuple[ActorQ, bytes, frozenset[str]]:
    """The application of a program whose tasks know this number, and the tasks as they travel."""
    app = make_app(set_as_current=False)
    exec(SOURCE, {"__name__": "__main__", "app": app, "SECOND": number, "lock": threading.Lock()})
    return app, *pack(app, app.tasks.values())


def arrive(app: ActorQ, parts: bytes) -> Callable[[str], Any]:
    """What the program is in another process: a function that finds its tasks."""
    program = cloudpickle.loads(cloudpickle.dumps(Program(app, parts, app.task_of_program)))
    return lambda name: program.find_task(name, f"digest of {name}", b"blob")


def test_each_task_finds_the_others_by_name() -> None:
    app, parts, _ = program_of(5)
    first = arrive(app, parts)("tests.first")
    assert first is not app.tasks["tests.first"] and first.app is not app
    assert first(1) == [6, 5, "tests.first"]
    assert first.app.tasks["tests.first"] is first


def test_a_function_that_refers_to_its_own_task_keeps_its_signature() -> None:
    app, parts, _ = program_of(5)
    arrive(app, parts)("tests.first").check(1)  # The second parameter has a default.


def test_a_program_that_has_come_already_is_not_made_again_and_another_one_is_another_application() -> None:
    app, parts, _ = program_of(5)
    changed = program_of(6)
    one, again, other = (arrive(*each)("tests.first") for each in ((app, parts), (app, parts), changed[:2]))
    assert one is again
    assert (one(1), other(1)) == ([6, 5, "tests.first"], [7, 6, "tests.first"])


def test_only_so_many_programs_of_one_application_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(travelling, "PROGRAMS_KEPT", 2)
    programs = [program_of(number)[:2] for number in (11, 12, 13)]
    first, _, third = (arrive(*each)("tests.first") for each in programs)
    assert arrive(*programs[2])("tests.first") is third
    assert arrive(*programs[0])("tests.first") is not first


def test_a_task_that_cannot_travel_does_not_keep_the_others_from_it() -> None:
    app, parts, names = program_of(5)
    assert {"tests.first", "tests.second"} <= names and "tests.holds" not in names
    with pytest.raises(NotRegistered):
        arrive(app, parts)("tests.holds")


def test_the_current_task_is_that_of_the_process_where_it_is_asked_for() -> None:
    assert cloudpickle.loads(cloudpickle.dumps(current_task)) is current_task
