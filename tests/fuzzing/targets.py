"""All targets, by name."""

from __future__ import annotations

from tests.fuzzing import client, coordinator, decoders, worker
from tests.fuzzing.engine import Target

TARGETS: dict[str, Target] = {each.TARGET.name: each.TARGET for each in (client, coordinator, decoders, worker)}
