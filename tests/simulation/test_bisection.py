"""A run that fails is told with what it needs to fail, and without all else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.simulation.__main__ import main
from tests.simulation.bisection import needed_kinds, smallest
from tests.simulation.mesh import first_violation, run_seed
from tests.simulation.planted import BUGS


def test_what_does_not_matter_is_left_out() -> None:
    tried: list[Sequence[str]] = []

    def fails(kinds: Sequence[str]) -> bool:
        tried.append(kinds)
        return {"c", "f"} <= set(kinds)

    assert smallest("abcdefghij", fails) == ["c", "f"]
    assert len(tried) < 30


def test_what_fails_by_itself_needs_nothing() -> None:
    assert smallest("abc", lambda kinds: True) == []


def test_a_kind_that_is_left_out_does_not_happen_and_what_is_submitted_stays_the_same() -> None:
    whole = next(result for result in map(run_seed, range(1, 50)) if result.counts["worker crash"])
    reduced = run_seed(whole.seed, without=["worker crash"])
    assert not reduced.counts["worker crash"] and "worker crash" not in reduced.kinds
    assert (reduced.calls, reduced.violation) == (whole.calls, None)


def test_a_bug_that_shows_when_messages_come_twice_is_said_to_need_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with BUGS["a late report settles the call again"].planted():
        found = first_violation(range(1, 50))
        assert found is not None and needed_kinds(found) == ["duplicate messages"]
        assert main(["--seed", str(found.seed)]) == 1
        said = capsys.readouterr().out
        assert "what could happen: duplicate messages\n" in said and "VIOLATED [one terminal state]" in said
        without = said.partition("--without '")[2].partition("'")[0]
        assert main(["--seed", str(found.seed), "--without", without]) == 1
        assert "what could happen: duplicate messages\n" in capsys.readouterr().out


def test_each_of_the_kinds_that_are_named_is_needed() -> None:
    with BUGS["a revoked call that comes back is queued"].planted():
        found = first_violation(range(1, 100))
        assert found is not None and found.violation is not None
        needed = needed_kinds(found)
        assert "revoked calls" in needed and len(needed) < len(found.kinds)
        for kind in needed:
            rest = [each for each in needed if each != kind]
            violation = run_seed(found.seed, without=[each for each in found.kinds if each not in rest]).violation
            assert violation is None or violation.invariant != found.violation.invariant
