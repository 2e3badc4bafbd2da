"""A few hundred runs of a whole mesh, with faults from their seeds. `scripts/sim` runs more of them.

What fails here is replayed, with its story, by ``scripts/sim --seed N``.
"""

from __future__ import annotations

import pytest

from tests.simulation.mesh import first_violation

SEEDS = 300
CHUNK = 20


@pytest.mark.parametrize("first", range(1, SEEDS + 1, CHUNK))
def test_whatever_breaks_every_promise_is_kept_and_everything_settles(first: int) -> None:
    result = first_violation(range(first, first + CHUNK))
    assert result is None, f"seed {result.seed}: {result.violation}"
