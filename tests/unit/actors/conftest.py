"""Each test of actors gets a system, and must not leave a greenlet behind."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import gevent
import pytest

from actorq.actors import ActorSystem
from tests.unit.actors.support import LIMIT_S


def living() -> set[int]:
    return {id(thing) for thing in gc.get_objects() if isinstance(thing, gevent.Greenlet) and not thing.dead}


@pytest.fixture(autouse=True)
def _no_greenlet_is_left() -> Iterator[None]:
    before = living()
    yield
    assert living() <= before, "a greenlet goes on after the end of the test"


@pytest.fixture
def system() -> Iterator[ActorSystem]:
    """A system that is stopped at the end. That it failed is no failure of the test."""
    system = ActorSystem("test")
    yield system
    system.stop(LIMIT_S)
