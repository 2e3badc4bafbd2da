"""One process of the ceiling; see the package."""

from __future__ import annotations

import sys
from collections.abc import Callable

from scripts.benchmarks.ceiling import bare, pipeline

ROLES: dict[str, Callable[..., None]] = {
    "coordinator": pipeline.run_coordinator,
    "worker": pipeline.run_worker,
    "bare-coordinator": bare.run_coordinator,
    "bare-worker": bare.run_worker,
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
