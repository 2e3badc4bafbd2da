"""Messages that an actor sends itself later."""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest

from actorq.actors import Actor, ActorRef, ActorSystem, ChildSpec, Overflow, Timer, handles
from tests.unit.actors.support import LIMIT_S, Busy, Get, bounded, occupy, only, until


class Clock(Actor):
    """Sets timers that it is told, as `("after", delay_s, text)`, and notes what they send."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    @handles(tuple)
    def set(self, message: tuple[str, float, str]) -> Timer:
        method, delay_s, text = message
        timer: Timer = getattr(self, method)(delay_s, text)
        return timer

    @handles(str)
    def note(self, message: str) -> None:
        self.noted.append(message)

    @handles(Get)
    def get(self, message: Get) -> list[str]:
        return list(self.noted)

    @handles(Busy)
    def be_busy(self, message: Busy) -> None:
        message.wait()


def noted(ref: ActorRef) -> Any:
    return ref.ask(Get(), LIMIT_S)


def test_after_sends_once_and_not_too_early(system: ActorSystem) -> None:
    ref = only(system, Clock)
    begin_s = time.monotonic()
    timer = ref.ask(("after", 0.05, "ring"))
    assert timer.active
    until(lambda: noted(ref) == ["ring"])
    assert time.monotonic() - begin_s >= 0.05
    assert not timer.active
    gevent.sleep(0.06)
    assert noted(ref) == ["ring"]


def test_a_delay_counts_from_the_call_also_when_the_hub_was_busy_before(system: ActorSystem) -> None:
    class Late(Clock):
        @handles(float)
        def compute(self, message: float) -> float:
            time.sleep(0.05)  # Blocks the hub, whose idea of now gets old.
            self.after(message, "ring")
            return time.monotonic()

    ref = only(system, Late)
    begin_s = ref.ask(0.05)
    until(lambda: noted(ref) == ["ring"])
    assert time.monotonic() - begin_s >= 0.05


def test_timers_ring_in_the_order_of_their_times(system: ActorSystem) -> None:
    ref = only(system, Clock)
    for delay_s, text in [(0.03, "third"), (0.01, "first"), (0.02, "second")]:
        ref.ask(("after", delay_s, text))
    until(lambda: noted(ref) == ["first", "second", "third"])


def test_every_sends_until_it_is_cancelled(system: ActorSystem) -> None:
    ref = only(system, Clock)
    timer = ref.ask(("every", 0.001, "tick"))
    until(lambda: len(noted(ref)) >= 3)
    assert timer.active
    timer.cancel()
    count = len(noted(ref))
    gevent.sleep(0.01)
    assert len(noted(ref)) == count
    assert not timer.active


def test_ticks_for_which_the_actor_has_no_time_are_left_out(system: ActorSystem) -> None:
    class Slow(Clock):
        @handles(float)
        def work(self, message: float) -> None:
            self.every(0.001, "tick")
            gevent.sleep(message)

    ref = only(system, Slow)
    ref.tell(0.05)
    assert noted(ref) == ["tick"]


def test_a_cancelled_timer_sends_nothing_also_if_its_time_had_come(system: ActorSystem) -> None:
    ref = only(system, Clock)
    never = ref.ask(("after", 0.001, "never"))
    busy = occupy(ref)
    gevent.sleep(0.01)
    never.cancel()
    never.cancel()
    busy.over.set()
    assert noted(ref) == []


def test_a_timer_overtakes_the_mailbox_and_is_not_bound_by_its_limit(system: ActorSystem) -> None:
    ref = system.start(ChildSpec(Clock, "clock", mailbox=bounded(2, Overflow.REFUSE)))
    ref.ask(("after", 0.001, "ring"))
    busy = occupy(ref)
    ref.tell("told")
    ref.tell("told")
    gevent.sleep(0.01)
    busy.over.set()
    until(lambda: ref.waiting == 0)
    assert noted(ref) == ["ring", "told", "told"]


def test_timers_end_with_the_actor_and_do_not_reach_the_next_incarnation(system: ActorSystem) -> None:
    ref = system.start(ChildSpec(Clock, "clock"))
    ref.ask(("after", 0.01, "ring"))
    ref.ask(("every", 0.001, "tick"))
    ref.stop()
    gevent.sleep(0.02)
    assert noted(ref) == []


def test_a_timer_that_had_rung_when_the_actor_ended_does_not_reach_the_next_incarnation(system: ActorSystem) -> None:
    ref = system.start(ChildSpec(Clock, "clock"))
    ref.ask(("after", 0.001, "ring"))
    busy = occupy(ref)
    ref.stop()
    gevent.sleep(0.01)
    busy.over.set()
    assert noted(ref) == []


def test_a_period_must_not_be_nothing(system: ActorSystem) -> None:
    with pytest.raises(ValueError, match="a period must be longer than 0 s"):
        only(system, Clock).ask(("every", 0.0, "tick"))
