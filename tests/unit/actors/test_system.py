"""A system from its start to its end."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from actorq import errors, native
from actorq.actors import Actor, ActorSystem, ChildSpec, Strategy
from actorq.errors import ActorStopped, ImproperlyConfigured, RestartsExhausted
from tests.unit.actors.support import LIMIT_S, Add, Crash, Get, in_thread, occupy, part, until


def test_a_system_starts_its_children_in_order_and_stops_them_in_reverse() -> None:
    journal: list[str] = []
    with ActorSystem("test") as system:
        for name in "abc":
            system.start(part(name, journal))
        assert list(system.children()) == ["a", "b", "c"]
        assert journal == ["a starts", "b starts", "c starts"]
        journal.clear()
    assert journal == ["c stops", "b stops", "a stops"]


def test_a_later_child_can_ask_an_earlier_one_also_while_it_stops() -> None:
    answers: list[object] = []
    with ActorSystem("test") as system:
        store = system.start(part("store"))

        class Worker(Actor):
            def on_start(self) -> None:
                answers.append(store.ask(Add("start")))

            def on_stop(self, reason: object) -> None:
                answers.append(store.ask(Add("stop")))

        system.start(ChildSpec(Worker, "worker"))
    assert answers == [1, 2]


def test_stop_gives_each_child_its_own_time_and_then_kills_it() -> None:
    journal: list[str] = []
    system = ActorSystem("test")
    occupy(system.start(part("patient", journal, shutdown_s=0.01)))
    occupy(system.start(part("hasty", journal, shutdown_s=0)))
    system.stop(LIMIT_S)
    assert journal == ["patient starts", "hasty starts", "hasty stops", "patient stops"]


def test_stop_kills_what_is_left_after_its_time() -> None:
    journal: list[str] = []
    system = ActorSystem("test")
    refs = [system.start(part(name, journal, shutdown_s=None)) for name in "abc"]
    for ref in refs:
        occupy(ref)
    system.stop(timeout_s=0.01)
    assert all(ref.stopped for ref in refs)
    assert sorted(journal[3:]) == ["a stops", "b stops", "c stops"]
    system.join(LIMIT_S)


def test_stop_may_be_called_again_and_by_several() -> None:
    system = ActorSystem("test")
    system.start(part())
    stoppers = [gevent.spawn(system.stop) for _ in range(3)]
    assert len(gevent.joinall(stoppers, timeout=LIMIT_S, raise_error=True)) == 3
    system.stop()
    assert repr(system) == "<actor system test, ended>"


def test_a_system_that_has_ended_starts_nothing() -> None:
    with ActorSystem("test") as system:
        pass
    with pytest.raises(ActorStopped, match="actor test was shut down, and does not take StartChild any more"):
        system.start(part())


def test_join_waits_until_an_actor_stops_the_system(system: ActorSystem) -> None:
    with pytest.raises(errors.TimeoutError, match="actor test has not stopped within 0 s"):
        system.join(timeout_s=0)

    class Ender(Actor):
        def on_start(self) -> None:
            self.after(0.001, "end")

        def receive(self, message: object) -> None:
            system.root.stop()

    system.start(ChildSpec(Ender, "ender"))
    system.join(LIMIT_S)
    assert system.root.stopped


def test_join_raises_why_the_system_has_failed(system: ActorSystem) -> None:
    journal: list[str] = []
    ref = system.start(part("failing", journal))
    system.start(part("well", journal))
    for _ in range(4):
        ref.tell(Crash(OSError("no disk")))
    with pytest.raises(RestartsExhausted, match="more than 3 times in 5 s, the last one was failing") as caught:
        system.join(LIMIT_S)
    assert repr(caught.value.__cause__) == "OSError('no disk')"
    assert journal[-1] == "well stops"


def test_the_end_of_a_block_raises_why_the_system_had_failed() -> None:
    with pytest.raises(RestartsExhausted), ActorSystem("test", intensity=0) as system:  # noqa: PT012
        ref = system.start(part())
        ref.tell(Crash(OSError("no disk")))
        ref.join(LIMIT_S)


def test_the_error_of_a_block_is_not_hidden_by_that_of_the_system() -> None:
    with pytest.raises(ZeroDivisionError), ActorSystem("test", intensity=0) as system:  # noqa: PT012
        ref = system.start(part())
        ref.tell(Crash(OSError("no disk")))
        ref.join(LIMIT_S)
        raise ZeroDivisionError
    assert system.root.stopped


def test_run_starts_waits_and_stops() -> None:
    journal: list[str] = []
    system = ActorSystem("test")
    runner = gevent.spawn(system.run, part("a", journal), part("b", journal))
    until(lambda: journal == ["a starts", "b starts"])
    system.root.stop()
    runner.get(timeout=LIMIT_S)
    assert journal[2:] == ["b stops", "a stops"]


def test_run_stops_what_it_has_started_when_the_next_one_cannot_start() -> None:
    class Broken(Actor):
        def on_start(self) -> None:
            raise OSError("no disk")

    journal: list[str] = []
    with pytest.raises(OSError, match="no disk"):
        ActorSystem("test").run(part("a", journal), ChildSpec(Broken, "b"), part("c", journal))
    assert journal == ["a starts", "a stops"]


def test_a_system_has_a_strategy_like_any_supervisor() -> None:
    journal: list[str] = []
    with ActorSystem("test", strategy=Strategy.ONE_FOR_ALL) as system:
        first = system.start(part("first", journal))
        second = system.start(part("second", journal))
        first.tell(Crash(KeyError("x")))
        assert first.ask(Get()) == second.ask(Get()) == []
        assert journal[2:] == ["first stops", "second stops", "first starts", "second starts"]


def test_a_system_is_checked_before_it_starts_anything() -> None:
    with pytest.raises(ImproperlyConfigured, match="intensity"):
        ActorSystem("test", intensity=-1)
    with pytest.raises(ImproperlyConfigured, match="name"):
        ActorSystem("")


def test_a_hub_whose_actors_are_all_idle_goes_on_for_other_threads(system: ActorSystem) -> None:
    # gevent raises LoopExit in whoever waits when a hub has nothing left that could happen.
    heard = Event()

    class Listener(Actor):
        def receive(self, message: object) -> None:
            heard.set()

    ref = system.start(ChildSpec(Listener, "listener"))

    def tell_later() -> None:
        native.sleep(0.01)
        ref.tell("hello")

    native.start_thread(tell_later)
    assert heard.wait()


def test_a_system_that_has_ended_does_not_keep_its_hub_from_ending() -> None:
    def elsewhere() -> bool:
        with ActorSystem("elsewhere") as there:
            there.start(part())
        ended: bool = gevent.get_hub().join(LIMIT_S)
        return ended

    assert in_thread(elsewhere)()
