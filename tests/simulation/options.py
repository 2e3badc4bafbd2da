"""What is random about a run as a whole.

Each run switches on only some of all that may happen, and bounds are often tiny: so rare things come together (swarm
testing: Groce et al., ISSTA 2012; and as TigerBeetle's simulator does it).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from random import Random

from actorq.config import ClientSettings, CoordinatorSettings, LivenessSettings, WorkerSettings

FAULTS = (
    "coordinator crash",
    "coordinator drain",
    "worker crash",
    "worker stop",
    "worker drain",
    "rolling restart",
    "swizzle",
    "client crash",
    "coordinator pause",
    "worker pause",
    "client pause",
    "busy hub",
    "stuck worker",
    "lost link",
    "half-open link",
    "one-way partition",
    "partition",
    "slow machine",
    "clock step",
    "slow disk",
    "failing disk",
)
SEVERAL = "several coordinators"
DISK_FAULTS = ("slow disk", "failing disk")


@dataclass(frozen=True)
class Options:
    """One run's choices."""

    coordinators: int
    is_durable: bool
    faults: tuple[str, ...]
    """What may break; nothing in a calm run."""
    fault_every_s: float
    chaos_s: float
    workers: int
    slots: int
    clients: int
    calls: int
    call_s: float
    """Mean duration of a call."""
    delay_s: float
    latency_s: float
    """How long a thread takes to wake up, at the most."""
    batch: int
    """What a thread takes at once, at the most."""
    disk_s: float
    duplicate_share: float
    late_share: float
    unseen_share: float
    is_lenient: bool
    """Whether the coordinator's core also gets what its shell would refuse: messages without a Hello."""
    shares: dict[str, float]
    """How often a call has some property."""
    coordinator: CoordinatorSettings
    worker: WorkerSettings
    client: ClientSettings

    left_out: frozenset[str] = frozenset()
    """Faults that are drawn and not carried out."""

    def kinds(self) -> list[str]:
        """All that may happen in this run and can be left out: faults, and what is done to messages and calls."""
        circumstances = {
            SEVERAL: self.coordinators > 1,
            "duplicate messages": self.duplicate_share,
            "late messages": self.late_share,
            "lost results": self.unseen_share,
            "messages without a Hello": self.is_lenient,
            **{f"{kind} calls": share for kind, share in self.shares.items()},
        }
        faults = [each for each in self.faults if each not in self.left_out]
        return [*faults, *(kind for kind, share in circumstances.items() if share)]

    def without(self, kinds: Collection[str]) -> Options:
        """The same choices, without these kinds."""

        def share(kind: str, value: float) -> float:
            return 0.0 if kind in kinds else value

        return replace(
            self,
            left_out=frozenset(kinds),
            coordinators=1 if SEVERAL in kinds else self.coordinators,
            duplicate_share=share("duplicate messages", self.duplicate_share),
            late_share=share("late messages", self.late_share),
            unseen_share=share("lost results", self.unseen_share),
            is_lenient=self.is_lenient and "messages without a Hello" not in kinds,
            shares={kind: share(f"{kind} calls", value) for kind, value in self.shares.items()},
        )

    @property
    def is_calm(self) -> bool:
        return not self.faults

    @property
    def refuses(self) -> bool:
        """Whether calls may be refused, as the disk fails."""
        return "failing disk" in self.faults

    @property
    def forgets(self) -> bool:
        """Whether outcomes are dropped so soon that a call which comes again may run again."""
        return self.coordinator.outcome_count < 1000


def draw(rng: Random) -> Options:
    """The choices of one run."""
    is_calm = rng.random() < 0.15
    forgets = rng.random() < 0.1
    is_durable = rng.random() < 0.5
    slots = rng.randint(1, 4)
    call_s = rng.choice((0.02, 0.3, 1.5, 4.0))
    liveness = LivenessSettings(grace_s=rng.choice((0.2, 0.7, 2.0)))
    options = Options(
        coordinators=rng.choice((1, 1, 1, 2, 3)),
        is_durable=is_durable,
        faults=() if is_calm else _some(rng, [each for each in FAULTS if is_durable or each not in DISK_FAULTS]),
        fault_every_s=rng.choice((0.2, 0.5, 2.0)),
        chaos_s=rng.uniform(3.0, 20.0),
        workers=rng.randint(1, 4),
        slots=slots,
        clients=rng.randint(1, 3),
        calls=rng.randint(20, min(120, int(150 / call_s))),
        call_s=call_s,
        delay_s=rng.choice((0.0005, 0.002, 0.02)),
        latency_s=rng.choice((0.0, 0.001, 0.01)),
        batch=rng.choice((1, 3, 1000)),
        disk_s=rng.choice((0.001, 0.02, 0.02 if is_calm else 0.5)),
        duplicate_share=rng.choice((0.0, 0.0, 0.2, 1.0)),
        late_share=rng.choice((0.0, 0.5, 1.0)),
        unseen_share=0.0 if is_calm else rng.choice((0.0, 0.0, 0.1)),
        is_lenient=rng.random() < 0.5,
        shares=_shares(rng, forgets),
        coordinator=CoordinatorSettings(
            queue_limit=rng.choice((3, 10, 10_000)),
            queued_bytes=rng.choice((100, 10_000)),
            client_window=rng.choice((2, 16, 1000)),
            deliver_batch=rng.choice((1, 4, 512)),
            outcome_count=24 if forgets else 10_000,
            code_bytes=rng.choice((40, 10_000)),
            liveness=liveness,
            client_age_s=rng.choice((5.0, 3600.0)),
            durable=is_durable,
        ),
        worker=WorkerSettings(
            liveness=liveness,
            concurrency=slots,
            lookahead_work_s=rng.choice((0.0, 0.1, 1.0)),
            lookahead_limit=rng.choice((1, 8)),
            unacked_limit=rng.choice((1, 100_000)),
        ),
        client=ClientSettings(submit_batch=rng.choice((1, 5, 512)), ask_batch=rng.choice((1, 1000))),
    )
    # What came later is drawn last: so all else of a seed is as it was, and what its run has found is found again.
    return replace(options, shares={**options.shares, **_drawn(rng, ("unique", "cancelled"))})


def _drawn(rng: Random, kinds: Sequence[str]) -> dict[str, float]:
    return {kind: rng.choice((0.0, 0.05, 0.3)) if rng.random() < 0.6 else 0.0 for kind in kinds}


def _some(rng: Random, kinds: list[str]) -> tuple[str, ...]:
    return tuple(sorted(rng.sample(kinds, rng.randint(1, len(kinds)))))


def _shares(rng: Random, forgets: bool) -> dict[str, float]:
    kinds = (
        "at most once", "ignored", "by value", "scheduled", "expiring", "failing", "poison", "stalling", "long",
        "large", "late name", "chosen id", "again", "revoked", "watched", "broadcast",
        "workflow", "retried", "limited", "keyed",
    )  # fmt: skip
    shares = _drawn(rng, kinds)
    if forgets:
        shares["at most once"] = 0.0  # To know that a call has run is all that keeps it from running again.
    return shares
