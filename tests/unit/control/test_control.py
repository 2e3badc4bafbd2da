"""`app.control`: what is asked of the mesh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from actorq.control.control import Control
from actorq.errors import DuplicateNodenameWarning
from actorq.wire.messages import Replies


class Orders:
    """A mesh that notes what it is asked, and answers with these replies."""

    def __init__(self, replies: dict[str, Any] | None = None, missing: Sequence[str] = ()) -> None:
        self.replies, self.missing = replies or {}, missing
        self.asked: list[tuple[str, dict[str, Any], list[str]]] = []

    def order(self, command: str, arguments: dict[str, Any], destination: Sequence[str], timeout_s: float) -> Replies:
        self.asked.append((command, arguments, list(destination)))
        return Replies(1, self.replies, list(self.missing))


@pytest.mark.parametrize("destination", ["w1@a", ["w1@a"], ("w1@a",)])
@pytest.mark.parametrize(
    "ask",
    [
        lambda control, destination: control.ping(destination),
        lambda control, destination: control.shutdown(destination=destination),
        lambda control, destination: control.add_consumer("feeds", destination),
        lambda control, destination: control.inspect(destination).active(),
        lambda control, destination: control.drain_coordinator(destination),
    ],
)
def test_one_node_may_be_named_without_a_list(ask: Callable[[Control, Any], Any], destination: Any) -> None:
    orders = Orders()
    ask(Control(orders), destination)
    ((*_, asked),) = orders.asked
    assert asked == ["w1@a"]


@pytest.mark.parametrize("destination", [None, [], ""])
def test_all_are_asked_where_nobody_is_named(destination: Any) -> None:
    orders = Orders()
    Control(orders).ping(destination)
    assert orders.asked == [("ping", {}, [])]


@pytest.mark.parametrize(
    ("replies", "missing"), [({"w1": 1, "w1#2": 1, "w2": 1}, []), ({"w1": 1, "w2": 1}, ["w1#2"]), ({}, ["w1#2", "w1"])]
)
def test_who_asks_nodes_of_one_name_is_told(replies: dict[str, Any], missing: list[str]) -> None:
    with pytest.warns(DuplicateNodenameWarning, match="several nodes are named w1: ") as warned:
        Control(Orders(replies, missing)).ping()
    assert [each.filename for each in warned] == [__file__]


@pytest.mark.filterwarnings("error")
def test_names_with_a_number_of_their_own_are_no_trouble() -> None:
    Control(Orders({"job#2": 1, "job#3": 1, "w1": 1})).ping()


def test_what_is_cancelled_ends_also_where_nobody_can_say_what_belongs_to_it() -> None:
    orders = Orders({"c@a": {"error": "unknown command"}})
    Control(orders).cancel("1")
    assert [(command, arguments.get("roots")) for command, arguments, _ in orders.asked] == [
        ("open_calls", None), ("revoke", ["1"]),
    ]  # fmt: skip


def test_where_one_coordinator_knows_a_call_the_others_do_not_count() -> None:
    known, unknown = {"1": "removed"}, {"1": "unknown here; it will not start if it comes later"}
    for replies in ({"a": known, "b": unknown}, {"a": unknown, "b": known}):
        assert Control(Orders(replies)).end(["1"], [], terminate=True) == known
    assert Control(Orders({"a": unknown})).end(["1"], [], terminate=True) == unknown


def test_calls_may_be_revoked_with_the_signal_that_celery_takes() -> None:
    orders = Orders()
    Control(orders).revoke("1", terminate=True, signal="SIGKILL")
    Control(orders).terminate(["1", "2"], signal="SIGTERM")
    assert [(arguments["ids"], arguments["terminate"]) for _, arguments, _ in orders.asked] == [
        (["1"], True), (["1", "2"], True),
    ]  # fmt: skip
