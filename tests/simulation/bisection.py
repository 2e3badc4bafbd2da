"""What does a run need to fail? Kinds of faults are left out as long as the same invariant is violated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.simulation.mesh import Result, run_seed


def needed_kinds(result: Result) -> list[str]:
    """Of all that could happen in a run that failed, what it takes to violate the same invariant."""
    assert result.violation is not None
    invariant = result.violation.invariant

    def fails(kinds: Sequence[str]) -> bool:
        violation = run_seed(result.seed, without=[each for each in result.kinds if each not in kinds]).violation
        return violation is not None and violation.invariant == invariant

    return smallest(result.kinds, fails)


def smallest(kinds: Sequence[str], fails: Callable[[Sequence[str]], bool]) -> list[str]:
    """Some of `kinds` that still fail, and do not when any one of them is left out (after Zeller's delta debugging).

    Large parts are left out first, then smaller ones.
    """
    needed = list(kinds)
    size = len(needed)
    while size:
        is_smaller = False
        for part in [needed[start : start + size] for start in range(0, len(needed), size)]:
            rest = [each for each in needed if each not in part]
            if fails(rest):
                needed, is_smaller = rest, True
        if size > 1 or not is_smaller:
            size //= 2
    return needed
