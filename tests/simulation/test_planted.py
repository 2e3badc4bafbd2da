"""Does the simulation see anything? Bugs are planted, and have to be found, each for a reason that fits."""

from __future__ import annotations

import pytest

from tests.simulation.mesh import first_violation
from tests.simulation.planted import BUGS

SEEDS = range(1, 301)
MORE_SEEDS = range(1, 2001)
RARE = {
    "a restart forgets revocations",
    "a restart forgets starts",
    "a double lease is never reported",
    "one that was away is not told what was revoked",
    "a restart forgets how far a workflow was",
    "an heir drops workflows that it acknowledges",
    "a cancelled workflow goes on",
    "a restart forgets who holds unique keys",
    "others are not asked who holds a unique key",
}
"""It takes the right moment, mostly for a coordinator to crash."""

FOUND_AS = {
    "the attempt fence is dropped": {"fence"},
    "a requeue is forgotten": {"lost", "replay", "attempts", "check"},
    "credit is returned twice": {"credit"},
    "a late report settles the call again": {"one terminal state"},
    "a session that was lost still acts": {"stale session", "left behind"},
    "a session that was replaced still acts": {"stale session", "left behind"},
    "a revoked call that comes back is queued": {"revoked"},
    "nothing expires": {"expiry"},
    "scheduled calls are early": {"ETA", "expiry"},
    "leases are given away while they are renewed": {"two leases", "living worker"},
    "starts are not noted": {"at most once", "lost", "left behind"},
    "acknowledgements do not wait for the disk": {"accepted", "acknowledged"},
    "deaths of workers do not count": {"lost", "poison"},
    "low priorities go first": {"order"},
    "a worker reports to clients when its leases are over": {"two leases"},
    "a worker forgets what was not acknowledged": {"lost", "living worker"},
    "a worker starts what must be noted before": {"guard"},
    "a client does not ask for lost results": {"lost"},
    "a client sends only once": {"lost"},
    "the journal keeps calls that have settled": {"replay"},
    "a restart forgets revocations": {"replay", "revoked"},
    "a restart forgets starts": {"replay", "at most once"},
    "a write that failed is confirmed": {"accepted", "acknowledged", "replay"},
    "what is written after a failure is not the same": {"accepted", "acknowledged", "replay"},
    "revocations are not passed on": {"revoked"},
    "one that was away is not told what was revoked": {"revoked"},
    "who leaves forgets what is not acknowledged": {"handed over"},
    "who leaves does not wait for what is leased": {"lost"},
    "an heir drops what it acknowledges": {"handed over"},
    "an heir does not write down what it acknowledges": {"handed over", "replay"},
    "a search never ends": {"busy loop", "lost"},
    "others are not asked to watch": {"left behind", "lost"},
    "a worker lists its leases to every coordinator": {"lost"},
    "a worker lists no leases": {"living worker", "at most once"},
    "a worker reports to the wrong coordinator": {"executions", "lost", "unexpected"},
    "a double lease is never reported": {"lost"},
    "a new coordinator does not hear what was not acknowledged": {"lost"},
    "a client forgets what was not accepted": {"lost"},
    "the body of a chord starts before the last member has ended": {"workflow"},
    "a member that is retried counts twice": {"workflow", "lost"},
    "a restart forgets how far a workflow was": {"replay", "check", "one terminal state"},
    "errbacks do not start": {"workflow"},
    "errbacks start although nothing has failed": {"workflow"},
    "a member that was revoked leaves its chord waiting": {"lost", "check"},
    "a retry forgets what follows": {"lost", "check"},
    "an heir drops workflows that it acknowledges": {"handed over"},
    "a cancelled workflow goes on": {"revoked"},
    "a unique key is free while its call runs": {"unique"},
    "a unique key is free when one of its calls has ended": {"unique"},
    "a restart forgets who holds unique keys": {"unique"},
    "others are not asked who holds a unique key": {"unique"},
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str) -> None:
    with BUGS[name].planted():
        seeds = BUGS[name].seeds(MORE_SEEDS if name in RARE else SEEDS)
        found = first_violation(seeds)
    assert found is not None and found.violation is not None, f"not found in {len(seeds)} seeds"
    assert found.violation.invariant in FOUND_AS[name], f"seed {found.seed}: {found.violation}"
