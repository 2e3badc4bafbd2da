"""Whatever a peer may say can come at any time, and be nonsense: the core does not raise, and its indexes agree."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actorq.errors import ProtocolError
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.records import BY_VALUE, Call, CallSpec, Outcome
from tests.unit.coordinator.support import VERSIONS, Bench

IDS = st.sampled_from(["a", "b", "c"])
SMALL = st.integers(0, 3)
ATTEMPTS = st.lists(st.tuples(IDS, SMALL), max_size=3)
SPECS = st.sampled_from(
    [
        CallSpec("add"),
        CallSpec("add", acks_late=False),
        CallSpec("add", max_deliveries=2, priority=9),
        CallSpec("f", code="digest"),
        CallSpec("add", ignore_result=True),
    ]
)
TIMES = st.sampled_from([0.0, 1_700_000_001.0, 1.0, -5.0, math.inf, math.nan])
NAMES = st.sampled_from(["x", "y"])


def calls() -> st.SearchStrategy[Call]:
    return st.builds(Call, IDS, SMALL, st.sampled_from([b"", b"body"]), TIMES, TIMES)


def messages() -> st.SearchStrategy[Message]:
    outcomes = st.lists(st.builds(Outcome, IDS, SMALL, st.integers(0, 2), st.just(b"")), max_size=3)
    arguments = st.dictionaries(
        st.sampled_from(["ids", "terminate"]), st.sampled_from([["a"], 5, None, True, ["a", 1]])
    )
    return st.one_of(
        st.builds(m.ClientHello, st.just(VERSIONS), NAMES, NAMES, NAMES, st.sampled_from(["", "tcp://x:1"])),
        st.builds(
            m.WorkerHello, st.just(VERSIONS), st.sampled_from(["1", "2"]), NAMES, NAMES,
            st.just(["default"]), st.just(["add", BY_VALUE]), SMALL, SMALL, NAMES, ATTEMPTS,
        ),
        st.builds(m.ControlHello, st.just(VERSIONS), NAMES, NAMES, NAMES),
        st.builds(
            m.Submit, SMALL, st.lists(st.tuples(SMALL, SPECS), max_size=3), st.lists(calls(), max_size=3),
            st.booleans(), st.booleans(),
        ),
        st.builds(m.Code, st.just("digest"), st.just(b"code")),
        st.builds(m.Query, SMALL, st.lists(IDS, max_size=3), st.booleans()),
        st.builds(m.Control, SMALL, st.sampled_from(["revoke", "ping", "coordinator"]), arguments,
                  st.lists(NAMES, max_size=2), TIMES),
        st.builds(m.Ping),
        st.builds(m.Capacity, SMALL, SMALL),
        st.builds(m.Finished, SMALL, outcomes, st.booleans()),
        st.builds(m.Returned, ATTEMPTS),
        st.builds(m.Starting, ATTEMPTS),
        st.builds(m.Heartbeat, TIMES, TIMES, ATTEMPTS),
        st.builds(m.Reply, SMALL, st.none()),
        st.builds(m.Bye, NAMES),
    )  # fmt: skip


Event = tuple[str, int, Any]


def events() -> st.SearchStrategy[list[Event]]:
    peers = st.integers(1, 4)
    return st.lists(
        st.one_of(
            st.tuples(st.just("message"), peers, messages()),
            st.tuples(st.just("lose"), peers, st.none()),
            st.tuples(st.just("wait"), st.sampled_from([1, 3, 20]), st.none()),
        ),
        max_size=40,
    )


@settings(max_examples=300, deadline=None)
@given(events())
def test_no_message_makes_the_core_raise_or_its_indexes_disagree(happened: list[Event]) -> None:
    bench, packer = Bench(), frames.Packer()
    for kind, number, message in happened:
        if kind == "message":
            packed = packer.pack(message)
            try:
                bench.step((number, frames.unpack(packed, bench.core.allowed(number))))
            except ProtocolError:  # Not for this peer to say: its session ends.
                bench.core.lose(number)
                bench.step()
        elif kind == "lose":
            bench.core.lose(number)
            bench.step()
        else:
            bench.wait(float(number))
