"""Which queues a node takes calls of, as the coordinator hears it."""

from __future__ import annotations

from actorq.wire import messages as m
from tests.unit.worker.core_support import Bench


def test_a_node_says_of_which_queues_it_takes_calls_from_now_on() -> None:
    bench = Bench()
    bench.said.clear()
    bench.core.consume(["default", "more"])
    bench.step()
    assert bench.said == [m.Consume(["default", "more"])]


def test_what_was_ordered_while_it_was_out_of_touch_is_in_the_next_hello() -> None:
    bench = Bench()
    bench.lose()
    bench.said.clear()
    bench.core.consume(["more"])
    bench.step()
    assert not bench.said
    assert bench.connect().queues == ["more"]
