"""What a sender gets back, on the actor's own hub."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from actorq.actors import Actor, ActorRef, ActorSystem, Reply, handles
from actorq.errors import ActorStopped, TimeoutError
from tests.unit.actors.support import LIMIT_S, Add, Crash, Get, Part, occupy, only, part, until


def test_messages_are_handled_in_the_order_in_which_they_were_told(system: ActorSystem) -> None:
    ref = system.start(part())
    for number in range(1000):
        ref.tell(Add(number))
    assert ref.ask(Get()) == list(range(1000))


def test_a_sender_does_not_wait_for_what_it_tells(system: ActorSystem) -> None:
    ref = system.start(part())
    busy = occupy(ref)
    ref.tell(Add("later"))
    assert ref.waiting == 1
    busy.over.set()
    assert ref.ask(Get()) == ["later"]
    assert ref.waiting == 0


def test_an_idle_actor_wakes_for_each_message(system: ActorSystem) -> None:
    ref = system.start(part())
    for number in range(1, 50):
        ref.tell(Add(number))
        gevent.sleep(0)
        assert ref.ask(Add(number)) == 2 * number


def test_one_message_is_handled_at_a_time(system: ActorSystem) -> None:
    class Narrow(Actor):
        def __init__(self) -> None:
            self.inside = self.most = 0

        @handles(Add)
        def add(self, message: Add) -> int:
            self.inside += 1
            self.most = max(self.most, self.inside)
            gevent.sleep(0)
            self.inside -= 1
            return self.most

    ref = only(system, Narrow)
    askers = [gevent.spawn(ref.ask, Add(number)) for number in range(10)]
    assert gevent.joinall(askers, timeout=LIMIT_S, raise_error=True) == askers
    assert {asker.value for asker in askers} == {1}


def test_an_actor_with_much_to_do_lets_others_run(system: ActorSystem) -> None:
    class Forever(Actor):
        rounds = 0

        @handles(Add)
        def again(self, message: Add) -> None:
            self.rounds += 1
            self.ref.tell(message)

        @handles(Get)
        def get(self, message: Get) -> int:
            return self.rounds

    ref = only(system, Forever)
    ref.tell(Add("again"))
    gevent.sleep(0.01)
    rounds = ref.ask(Get(), timeout_s=LIMIT_S)
    gevent.sleep(0.01)
    assert ref.ask(Get(), timeout_s=LIMIT_S) > rounds


def test_an_exception_in_the_handler_of_an_ask_goes_to_the_asker_and_is_a_failure_of_the_actor(
    system: ActorSystem,
) -> None:
    ref = only(system, Part)
    error = KeyError("x")
    with pytest.raises(KeyError) as caught:
        ref.ask(Crash(error))
    assert caught.value is error
    assert ref.join(LIMIT_S) is error


def test_a_late_answer_is_an_error_that_names_actor_and_message(system: ActorSystem) -> None:
    ref = system.start(part("slow"))
    busy = occupy(ref)
    with pytest.raises(TimeoutError, match=r"actor test/slow has not answered Get within 0\.01 s"):
        ref.ask(Get(), timeout_s=0.01)
    busy.over.set()


def test_a_message_whose_asker_has_given_up_is_not_handled(system: ActorSystem) -> None:
    ref = system.start(part())
    busy = occupy(ref)
    with pytest.raises(TimeoutError):
        ref.ask(Add("too late"), timeout_s=0)
    killed = gevent.spawn(ref.ask, Add("killed"))
    until(lambda: ref.waiting == 2)
    killed.kill()
    busy.over.set()
    assert ref.ask(Get()) == []


def test_an_answer_that_comes_in_time_is_no_timeout(system: ActorSystem) -> None:
    ref = system.start(part())
    assert ref.ask(Get(), timeout_s=LIMIT_S) == []


def test_an_actor_that_has_stopped_takes_no_message(system: ActorSystem) -> None:
    ref = system.start(part("gone"))
    system.stop_child("gone")
    with pytest.raises(ActorStopped, match=r"actor test/gone was shut down, and does not take Add any more"):
        ref.tell(Add(1))
    with pytest.raises(ActorStopped, match="does not take Get any more"):
        ref.ask(Get())


@pytest.mark.parametrize("ending", ["stop", "crash", "kill"])
def test_whoever_asked_an_actor_that_ends_is_answered(system: ActorSystem, ending: str) -> None:
    # Given an actor that handles an ask, and one more in its mailbox
    class Slow(Part):
        @handles(str)
        def wait(self, message: str) -> None:
            gevent.sleep(LIMIT_S)

    ref = system.start(part_of(Slow))
    if ending == "kill":
        first = gevent.spawn(catch, ref, "first")
    else:
        busy = occupy(ref)
        first = None
    second = gevent.spawn(catch, ref, Get())
    until(lambda: ref.waiting == 1)
    # When it ends
    if ending == "stop":
        ref.stop()
        busy.over.set()
    elif ending == "crash":
        busy.over.set_exception = None
    else:
        system.stop_child("slow")
    # Then both hear of it
    for asker in [first, second]:
        if asker is not None:
            assert isinstance(asker.get(timeout=LIMIT_S), ActorStopped)


def part_of(cls: type[Actor]) -> Any: ...
def catch(ref: ActorRef, message: object) -> Any: ...
