"""What a sender gets back, on the actor's own hub."""

from __future__ import annotations

import gc
from typing import Any

import gevent
import pytest

from actorq import errors
from actorq.actors import Actor, ActorRef, ActorSystem, Ended, Reply, Restart, handles
from actorq.errors import ActorStopped
from tests.unit.actors.support import LIMIT_S, Add, Busy, Crash, Get, Part, in_thread, occupy, only, part, until


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
    with pytest.raises(errors.TimeoutError, match=r"actor test/slow has not answered Get within 0\.01 s"):
        ref.ask(Get(), timeout_s=0.01)
    busy.over.set()


def test_a_message_whose_asker_has_given_up_is_not_handled(system: ActorSystem) -> None:
    ref = system.start(part())
    busy = occupy(ref)
    with pytest.raises(errors.TimeoutError):
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


def test_who_waits_in_the_mailbox_of_an_actor_that_stops_is_answered(system: ActorSystem) -> None:
    ref = system.start(part(restart=Restart.TRANSIENT))
    busy = occupy(ref)
    asker = gevent.spawn(outcome_of, ref, Get())
    until(lambda: ref.waiting == 1)
    ref.stop()
    busy.over.set()
    assert str(asker.get(timeout=LIMIT_S)) == "actor test/part stopped, and does not take Get any more"


def test_who_waits_in_the_mailbox_of_an_actor_that_fails_for_good_is_answered(system: ActorSystem) -> None:
    ref = only(system, Part)
    busy = occupy(ref)
    first, second = gevent.spawn(outcome_of, ref, Crash(KeyError("x"))), gevent.spawn(outcome_of, ref, Get())
    until(lambda: ref.waiting == 2)
    busy.over.set()
    assert isinstance(first.get(timeout=LIMIT_S), KeyError)
    assert (
        str(second.get(timeout=LIMIT_S)) == "actor test/only failed with KeyError('x'), and does not take Get any more"
    )


def test_all_who_wait_for_an_actor_that_is_killed_are_answered(system: ActorSystem) -> None:
    ref = system.start(part(shutdown_s=0))
    busy = Busy()
    first = gevent.spawn(outcome_of, ref, busy)
    busy.has_begun()
    second = gevent.spawn(outcome_of, ref, Get())
    until(lambda: ref.waiting == 1)
    assert system.stop_child("part") is Ended.KILLED
    assert str(first.get(timeout=LIMIT_S)) == "actor test/part has not answered, it was killed"
    assert str(second.get(timeout=LIMIT_S)) == "actor test/part was killed, and does not take Get any more"


def test_an_actor_may_answer_after_other_messages_and_from_another_thread(system: ActorSystem) -> None:
    ref = only(system, Desk)
    asker = gevent.spawn(outcome_of, ref, "question")
    [reply] = until(lambda: ref.ask(Get()))
    assert not asker.ready()
    in_thread(lambda: reply.answer("answer"))()
    assert asker.get(timeout=LIMIT_S) == "answer"


def test_a_deferred_answer_may_be_an_error_and_does_not_fail_the_actor(system: ActorSystem) -> None:
    ref = only(system, Desk)
    asker = gevent.spawn(outcome_of, ref, "question")
    [reply] = until(lambda: ref.ask(Get()))
    reply.fail(KeyError("x"))
    reply.answer("too late")
    assert isinstance(asker.get(timeout=LIMIT_S), KeyError)
    assert not ref.stopped


def test_who_waits_for_a_deferred_answer_is_answered_when_the_actor_ends(system: ActorSystem) -> None:
    ref = only(system, Desk)
    asker = gevent.spawn(outcome_of, ref, "question")
    until(lambda: ref.ask(Get()))
    ref.stop()
    assert str(asker.get(timeout=LIMIT_S)) == "actor test/only has not answered, it stopped"


def test_nobody_hears_the_deferred_answer_to_a_message_that_was_told(system: ActorSystem) -> None:
    ref = only(system, Desk)
    assert ref.ask(Get()) == []
    ref.tell("question")
    [reply] = ref.ask(Get())
    assert not reply.settled
    reply.answer("answer")
    assert ref.ask(Get()) == [reply]


def test_waits_that_are_over_leave_nothing_behind_in_the_actor(system: ActorSystem) -> None:
    class Quick(Actor):
        def receive(self, message: Any) -> None:
            self.defer().answer(message)

    def replies() -> int:
        gc.collect()
        return sum(isinstance(thing, Reply) for thing in gc.get_objects())

    ref = only(system, Quick)
    before = replies()
    for _ in range(3):
        assert ref.ask("question") == "question"
        with pytest.raises(errors.TimeoutError):
            ref.join(0)
    assert ref.ask("last") == "last"
    assert replies() == before


def test_an_actor_cannot_wait_for_itself(system: ActorSystem) -> None:
    class Narcissus(Actor):
        @handles(Get)
        def get(self, message: Get) -> None:
            self.ref.ask("me")

        @handles(Add)
        def add(self, message: Add) -> None:
            self.ref.join()

    with pytest.raises(RuntimeError, match="actor test/only would ask itself and wait for ever"):
        only(system, Narcissus).ask(Get())
    until(lambda: not system.children())
    with pytest.raises(RuntimeError, match="would wait for the end of itself"):
        only(system, Narcissus).ask(Add(1))


def test_references_are_equal_if_they_are_of_the_same_actor(system: ActorSystem) -> None:
    one, other = system.start(part("one")), system.start(part("other"))
    assert one == system.children()["one"] != other
    assert len({one, other, system.children()["other"]}) == 2
    assert repr(one) == "<actor test/one>"
    system.stop_child("one")
    assert repr(one) == "<actor test/one, stopped>"


class Desk(Actor):
    """Answers questions when somebody else does it."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []

    @handles(str)
    def question(self, message: str) -> None:
        self.replies.append(self.defer())

    @handles(Get)
    def get(self, message: Get) -> list[Reply]:
        return self.replies


def outcome_of(ref: ActorRef, message: object) -> Any:
    """What asking gives, or the error that it raises."""
    try:
        return ref.ask(message)
    except Exception as error:
        return error
