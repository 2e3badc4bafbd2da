"""A short run of each target, the same each time. `scripts/fuzz --minutes 5` runs for longer, and others."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from actorq.wire.messages import Message
from tests.fuzzing.engine import Finding, Target, fuzz, play
from tests.fuzzing.samples import MESSAGES
from tests.fuzzing.tape import Tape
from tests.fuzzing.targets import TARGETS

EXECUTIONS = {"decoders": 5000, "coordinator": 80, "worker": 400, "client": 400}
SEED = 1


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Who breaks the protocol is told off in the log; here that is everybody."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", sorted(EXECUTIONS))
def test_whatever_comes_no_promise_is_broken(name: str) -> None:
    report = fuzz(TARGETS[name], SEED, executions=EXECUTIONS[name])
    assert not report.findings, "\n".join(map(str, report.findings))
    assert report.kept, "no tape reached anything"


def test_there_is_a_sample_of_every_kind_of_message() -> None:
    assert {type(message) for message in MESSAGES} == set(Message.__subclasses__())


# -- the engine itself ---------------------------------------------------------------------------------------------


def _breaks_at_seven(tape: Tape) -> None:
    while not tape.is_over():
        if tape.below(256) == 7:
            raise ValueError("seven")


SEVEN = Target("seven", _breaks_at_seven, ("ids",), 100)


def test_a_broken_promise_is_found_once_and_its_tape_is_cut_down_to_what_breaks_it() -> None:
    report = fuzz(SEVEN, SEED, executions=200)
    assert [(each.target, each.tape) for each in report.findings] == [("seven", b"\x07")]


def test_a_finding_says_how_to_play_its_tape_again() -> None:
    finding = play(SEVEN, b"\x01\x07")
    assert isinstance(finding, Finding)
    assert "ValueError: seven" in str(finding)
    assert "scripts/fuzz --target seven --tape 0107" in str(finding)
    assert play(SEVEN, b"\x01") is None


def test_the_same_seed_does_the_same() -> None:
    first, second = (fuzz(TARGETS["client"], 3, executions=50) for _ in range(2))
    assert (first.lines, first.kept, first.executions) == (second.lines, second.kept, second.executions)
