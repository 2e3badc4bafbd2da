"""What fuzzing has found, as plain stories, so that it stays mended."""

from __future__ import annotations

import pytest

from actorq.errors import ProtocolError
from actorq.wire import messages as m
from actorq.wire.messages import Call
from tests.unit.worker.core_support import Bench as WorkerBench


@pytest.mark.parametrize("attempt", [0, -1, 2**31 + 1, 2**63])
def test_a_worker_takes_no_delivery_whose_number_no_other_coordinator_would_take_from_it(attempt: int) -> None:
    # Else it lists that number in each Hello, and is never welcomed by an honest coordinator again.
    bench = WorkerBench()
    with pytest.raises(ProtocolError):
        bench.deliver("a", attempt=attempt)
    bench.lose()
    assert bench.open().held == []


def test_a_delivery_with_such_a_number_changes_nothing() -> None:
    bench = WorkerBench()
    with pytest.raises(ProtocolError):
        bench.hear(m.Deliver(1, [Call("a", 1, b"", attempt=1), Call("b", 1, b"", attempt=0)]))
    assert bench.start() == []
    bench.hear(m.Deliver(1, [Call("a", 1, b"", attempt=1)]))
    assert bench.start() == ["a"]
