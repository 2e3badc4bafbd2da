"""A call that goes on as something else."""

from __future__ import annotations

from typing import Any

import pytest

from actorq.errors import Ignore, ImproperlyConfigured
from actorq.tasks.task import Task
from actorq.wire.plans import why_unsound
from actorq.wire.records import Call, CallSpec, Extra, Node, Plan
from actorq.wire.replacements import decode_replacement
from tests.unit.tasks.support import make_app, run_call

app = make_app()


class Two:
    """A signature of two calls, of which the first belongs to a group of its own."""

    def compile_as(self, task_id: str) -> tuple[list[CallSpec], Plan]:
        calls = [Call("other", 1, b"", extra=Extra(group="g", parent="given")), Call(task_id, 1, b"")]
        return [CallSpec("t")], Plan("same each time", [Node(call) for call in calls])


class Nothing:
    def compile_as(self, task_id: str) -> tuple[list[CallSpec], Plan]:
        return [], Plan(task_id, [])


SIGNATURES = {"two": Two(), "nothing": Nothing()}


@app.task(bind=True)
def go_on(self: Any, name: str) -> None:
    self.replace(SIGNATURES[name])


def test_all_of_it_belongs_to_the_tree_of_the_call_and_the_last_one_has_its_place() -> None:
    ended = run_call(go_on, "two", extra=Extra(root="root", parent="parent"))
    assert ended.state == "REPLACED"
    replacement = decode_replacement(ended.outcome.body)
    first, last = [node.call for node in replacement.plan.nodes]
    assert first.extra == Extra(root="root", parent="given", group="g")
    assert (last.id, last.extra) == ("call-1", Extra(root="root", parent="parent"))
    assert why_unsound(replacement.plan) == "" and replacement.plan.id != "same each time"


def test_nothing_is_no_replacement() -> None:
    assert isinstance(run_call(go_on, "nothing").error, ImproperlyConfigured)


def test_called_directly_it_is_ignored_and_a_hook_hears_of_it() -> None:
    heard: list[Any] = []

    class Hears(Task[Any, Any]):
        def on_replace(self, sig: Any) -> None:
            heard.append(sig)

    task = make_app().task(name="hears", base=Hears, bind=True)(lambda self: self.replace(SIGNATURES["two"]))
    with pytest.raises(Ignore):
        task()
    assert heard == [SIGNATURES["two"]]
