"""What `actorq.actors` offers."""

from __future__ import annotations

import actorq.actors


def test_the_public_names_are_sorted_there_and_documented() -> None:
    assert sorted(actorq.actors.__all__) == actorq.actors.__all__
    for name in actorq.actors.__all__:
        offered = getattr(actorq.actors, name)
        assert name == "Reason" or offered.__doc__, f"{name} does not say what it is"
