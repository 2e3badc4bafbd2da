"""How a node's slots are shared between coordinators: one pool of credit, most for those with most to run.

Each coordinator that could have something gets at least one lease, or it could never say that it has (NSQ's RDY
counts have taught that: go-nsq, pull request 277).
"""

from __future__ import annotations

from collections.abc import Sequence


def share(total: int, held: Sequence[int], backlogs: Sequence[int]) -> list[int]:
    """How many leases each coordinator may have, given how many are held from it and how many calls wait there.

    As long as anything of `total` is free, a coordinator from which nothing is held may grant one lease. Where fewer
    are free than there are such coordinators, some of these come too many: they go back if they do not start soon.
    """
    free = max(total - sum(held), 0)
    grants = [max(each, min(free, 1)) for each in held]
    free = max(total - sum(grants), 0)
    weights = [backlog + one_held + 1 for backlog, one_held in zip(backlogs, held, strict=True)]
    all_weights = sum(weights)
    heaviest = sorted(range(len(held)), key=lambda index: -weights[index])
    for index in heaviest:
        more = min(max(total * weights[index] // all_weights - grants[index], 0), free)
        grants[index] += more
        free -= more
    grants[heaviest[0]] += free
    return grants
