"""Who is started again, in which order, how often, and what follows when that does not help."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from actorq.actors import (
    Actor,
    ActorRef,
    ActorSystem,
    ChildSpec,
    Ended,
    ListChildren,
    Reason,
    Restart,
    StartChild,
    StopChild,
    Strategy,
    Supervisor,
)
from actorq.actors.restarts import RestartBudget
from actorq.errors import ActorStopped, ImproperlyConfigured, RestartsExhausted, UnhandledMessage
from tests.unit.actors.support import LIMIT_S, Add, Busy, Crash, Get, Part, occupy, part, until

OOPS = Crash(KeyError("oops"))


def supervise(
    system: ActorSystem,
    *children: ChildSpec,
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    intensity: int = 3,
    period_s: float = 60.0,
    restart: Restart = Restart.TEMPORARY,
) -> ActorRef:
    def factory() -> Supervisor:
        return Supervisor(children, strategy, intensity, period_s)

    return system.start(ChildSpec(factory, "top", restart, shutdown_s=None))


def child(supervisor: ActorRef, name: str) -> ActorRef:
    ref: ActorRef = supervisor.ask(ListChildren())[name]
    return ref


def three(journal: list[str]) -> list[ChildSpec]:
    return [part(name, journal) for name in "abc"]


# -- order -------------------------------------------------------------------------------------------------------


def test_children_start_in_order_and_stop_in_reverse(system: ActorSystem) -> None:
    journal: list[str] = []
    top = supervise(system, *three(journal))
    assert journal == ["a starts", "b starts", "c starts"]
    assert [ref.name for ref in top.ask(ListChildren()).values()] == ["test/top/a", "test/top/b", "test/top/c"]
    journal.clear()
    system.stop_child("top")
    assert journal == ["c stops", "b stops", "a stops"]


def test_each_child_has_stopped_before_the_one_before_it_is_stopped(system: ActorSystem) -> None:
    journal: list[str] = []
    top = supervise(system, *three(journal))
    busy = occupy(child(top, "c"))
    stopper = gevent.spawn(system.stop_child, "top")
    gevent.sleep(0.01)
    assert journal[3:] == []
    busy.over.set()
    assert stopper.get(timeout=LIMIT_S) is Ended.SHUTDOWN
    assert journal[3:] == ["c stops", "b stops", "a stops"]


def test_a_supervisor_whose_child_cannot_start_stops_the_others_and_fails(system: ActorSystem) -> None:
    class Broken(Actor):
        def on_start(self) -> None:
            raise OSError("no disk")

    journal: list[str] = []
    with pytest.raises(OSError, match="no disk"):
        supervise(system, part("a", journal), part("b", journal), ChildSpec(Broken, "c"), part("d", journal))
    assert journal == ["a starts", "b starts", "b stops", "a stops"]
    assert system.children() == {}


# -- strategies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, ["b stops", "b starts"]),
        (Strategy.ONE_FOR_ALL, ["b stops", "c stops", "a stops", "a starts", "b starts", "c starts"]),
        (Strategy.REST_FOR_ONE, ["b stops", "c stops", "b starts", "c starts"]),
    ],
)
def test_the_strategy_says_who_is_started_again_with_a_child_that_failed(
    system: ActorSystem, strategy: Strategy, expected: list[str]
) -> None:
    journal: list[str] = []
    top = supervise(system, *three(journal), strategy=strategy)
    before = top.ask(ListChildren())
    journal.clear()
    before["b"].tell(OOPS)
    until(lambda: len(journal) >= len(expected))
    # Then all references are still good
    assert all(ref.ask(Get()) == [] for ref in before.values())
    assert journal == expected
    assert top.ask(ListChildren()) == before
    # And the order has not changed
    journal.clear()
    system.stop_child("top")
    assert journal == ["c stops", "b stops", "a stops"]


def test_two_children_that_fail_at_once_are_both_started_again(system: ActorSystem) -> None:
    journal: list[str] = []
    top = supervise(system, *three(journal), strategy=Strategy.ONE_FOR_ALL)
    refs = top.ask(ListChildren())
    refs["a"].tell(OOPS)
    refs["c"].tell(OOPS)
    assert [ref.ask(Get()) for ref in refs.values()] == [[], [], []]
    # The second failure was of an incarnation that the first one has ended already.
    assert journal.count("b starts") == 2


# -- what a restart keeps ----------------------------------------------------------------------------------------


def test_messages_survive_a_restart_but_for_the_one_that_failed(system: ActorSystem) -> None:
    ref = system.start(part())
    busy = occupy(ref)
    ref.tell(Add("lost with the state"))
    ref.tell(OOPS)
    ref.tell(Add("kept"))
    asker = gevent.spawn(ref.ask, Get())
    busy.over.set()
    assert asker.get(timeout=LIMIT_S) == ["kept"]


def test_messages_that_come_between_failure_and_restart_are_kept(system: ActorSystem) -> None:
    busy = Busy()
    starts: list[int] = []

    class Slow(Part):
        def on_start(self) -> None:
            starts.append(1)
            if len(starts) == 2:
                busy.wait()

    ref = system.start(ChildSpec(Slow, "slow"))
    ref.tell(OOPS)
    busy.has_begun()
    ref.tell(Add("between"))
    busy.over.set()
    assert ref.ask(Get()) == ["between"]


def test_a_stop_that_came_too_late_does_not_hit_the_next_incarnation(system: ActorSystem) -> None:
    class Hasty(Part):
        def on_failure(self, error: BaseException, message: Any) -> None:
            self.stop()
            raise error

    journal: list[str] = []
    ref = system.start(ChildSpec(lambda: Hasty("hasty", journal), "hasty"))
    ref.tell(OOPS)
    ref.tell(Add(1))
    assert ref.ask(Get()) == [1]
    assert journal == ["hasty starts", "hasty stops", "hasty starts"]


def test_who_waits_for_a_deferred_answer_hears_of_the_restart(system: ActorSystem) -> None:
    class Desk(Actor):
        def receive(self, message: Any) -> None:
            if message == "crash":
                raise OSError("no desk")
            self.defer()

    ref = system.start(ChildSpec(Desk, "desk"))
    ref.tell("nothing")
    gevent.spawn_later(0.01, ref.tell, "crash")
    with pytest.raises(ActorStopped, match=r"has not answered, it failed with OSError\('no desk'\)"):
        ref.ask("question", LIMIT_S)
    assert not ref.stopped


# -- who is started again ----------------------------------------------------------------------------------------


def fail(ref: ActorRef) -> None:
    ref.tell(OOPS)


@pytest.mark.parametrize(
    ("restart", "end", "again"),
    [
        (Restart.PERMANENT, ActorRef.stop, True),
        (Restart.PERMANENT, fail, True),
        (Restart.TRANSIENT, ActorRef.stop, False),
        (Restart.TRANSIENT, fail, True),
        (Restart.TEMPORARY, ActorRef.stop, False),
        (Restart.TEMPORARY, fail, False),
    ],
)
def test_the_spec_says_after_which_end_a_child_is_started_again(
    system: ActorSystem, restart: Restart, end: Any, again: bool
) -> None:
    journal: list[str] = []
    ref = system.start(part("a", journal, restart))
    end(ref)
    if again:
        until(lambda: journal == ["a starts", "a stops", "a starts"])
        assert system.children() == {"a": ref}
    else:
        ref.join(LIMIT_S)
        assert system.children() == {}
        assert journal == ["a starts", "a stops"]


def test_a_temporary_child_is_not_started_again_for_the_sake_of_another(system: ActorSystem) -> None:
    journal: list[str] = []
    top = supervise(
        system,
        part("a", journal),
        part("b", journal, Restart.TEMPORARY),
        part("c", journal, Restart.TRANSIENT),
        strategy=Strategy.ONE_FOR_ALL,
    )
    refs = top.ask(ListChildren())
    refs["a"].tell(OOPS)
    assert refs["b"].join(LIMIT_S) is Ended.SHUTDOWN
    assert refs["c"].ask(Get()) == []
    assert journal[3:] == ["a stops", "c stops", "b stops", "a starts", "c starts"]
    assert list(top.ask(ListChildren())) == ["a", "c"]


def test_a_transient_child_that_has_stopped_is_not_started_again_for_the_sake_of_another(system: ActorSystem) -> None:
    journal: list[str] = []
    top = supervise(system, part("a", journal), part("b", journal, Restart.TRANSIENT), strategy=Strategy.ONE_FOR_ALL)
    refs = top.ask(ListChildren())
    refs["b"].stop()
    refs["a"].tell(OOPS)
    assert refs["a"].ask(Get()) == []
    assert refs["b"].stopped
    assert journal.count("b starts") == 1


def test_a_transient_child_that_was_started_again_for_the_sake_of_another_can_still_stop(system: ActorSystem) -> None:
    top = supervise(system, part("a"), part("b", restart=Restart.TRANSIENT), strategy=Strategy.ONE_FOR_ALL)
    refs = top.ask(ListChildren())
    refs["a"].tell(OOPS)
    assert refs["a"].ask(Get()) == refs["b"].ask(Get()) == []
    refs["b"].stop()
    assert refs["b"].join(LIMIT_S) is Ended.NORMAL


# -- intensity ---------------------------------------------------------------------------------------------------


def test_a_budget_allows_so_many_restarts_in_any_period() -> None:
    budget = RestartBudget(intensity=2, period_s=5.0)
    assert [budget.spend(now_s) for now_s in (0, 1, 2)] == [True, True, False]
    later = RestartBudget(intensity=2, period_s=5.0)
    assert [later.spend(now_s) for now_s in (0, 4, 5, 9, 9.5)] == [True, True, True, True, False]
    assert not RestartBudget(intensity=0, period_s=5.0).spend(0)


@pytest.mark.parametrize(("intensity", "period_s"), [(-1, 5.0), (3, 0.0)])
def test_a_budget_must_make_sense(intensity: int, period_s: float) -> None:
    with pytest.raises(ImproperlyConfigured, match="intensity >= 0 and period_s > 0"):
        Supervisor(intensity=intensity, period_s=period_s)


def test_beyond_its_intensity_a_supervisor_stops_its_children_in_reverse_and_fails(system: ActorSystem) -> None:
    journal: list[str] = []
    top = supervise(system, *three(journal), intensity=2)
    b = child(top, "b")
    for _ in range(2):
        b.tell(OOPS)
        assert b.ask(Get()) == []
    journal.clear()
    b.tell(OOPS)
    reason = top.join(LIMIT_S)
    assert journal == ["b stops", "c stops", "a stops"]
    assert isinstance(reason, RestartsExhausted)
    assert str(reason).startswith(
        "supervisor test/top gives up: its children had to be started again more than 2 times"
    )
    assert reason.__cause__ is OOPS.error
    # And whoever waits for a child is answered
    assert b.join(LIMIT_S) is OOPS.error


def test_a_child_that_cannot_be_started_again_is_tried_until_the_intensity_is_reached(system: ActorSystem) -> None:
    starts: list[int] = []

    class Broken(Part):
        def on_start(self) -> None:
            starts.append(1)
            if len(starts) > 1:
                raise OSError("no disk")

    top = supervise(system, ChildSpec(Broken, "broken"), intensity=3)
    child(top, "broken").tell(OOPS)
    reason = top.join(LIMIT_S)
    assert isinstance(reason, RestartsExhausted)
    assert repr(reason.__cause__) == "OSError('no disk')"
    assert len(starts) == 1 + 3


def test_a_child_that_starts_at_the_second_attempt_is_well_again(system: ActorSystem) -> None:
    journal: list[str] = []
    starts: list[int] = []

    class Wobbly(Part):
        def on_start(self) -> None:
            starts.append(1)
            if len(starts) == 2:
                raise OSError("not yet")
            super().on_start()

    top = supervise(
        system,
        part("a", journal),
        ChildSpec(lambda: Wobbly("b", journal), "b"),
        part("c", journal),
        strategy=Strategy.ONE_FOR_ALL,
    )
    refs = top.ask(ListChildren())
    journal.clear()
    refs["c"].tell(OOPS)
    assert [ref.ask(Get()) for ref in refs.values()] == [[], [], []]
    first_attempt = ["c stops", "b stops", "a stops", "a starts"]
    assert journal == [*first_attempt, "a stops", "a starts", "b starts", "c starts"]


def test_a_supervisor_that_gives_up_is_started_again_by_its_own(system: ActorSystem) -> None:
    journal: list[str] = []
    top = supervise(system, part("a", journal), intensity=0, restart=Restart.PERMANENT)
    first = child(top, "a")
    first.tell(OOPS)
    first.join(LIMIT_S)
    second = child(top, "a")
    assert second.ask(Get()) == []
    assert second != first
    assert journal == ["a starts", "a stops", "a starts"]


def test_a_failure_that_no_level_can_mend_ends_the_system() -> None:
    system = ActorSystem("test", intensity=1, period_s=60.0)
    top = supervise(system, part("a"), intensity=0, restart=Restart.PERMANENT)
    for _ in range(2):
        ref = child(top, "a")
        ref.tell(OOPS)
        ref.join(LIMIT_S)
    with pytest.raises(RestartsExhausted, match=r"supervisor test gives up.*the last one was top"):
        system.join(LIMIT_S)
    assert top.stopped


def test_a_child_that_does_not_end_cannot_be_started_again(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorq.actors.cell.KILL_GRACE_S", 0.01)
    freed = Busy()

    class Immortal(Part):
        def be_busy(self, message: Busy) -> None:
            message.begun.set()
            while not freed.over.is_set():
                try:
                    freed.over.wait(LIMIT_S)
                except gevent.GreenletExit:
                    pass

    top = supervise(system, part("a"), ChildSpec(Immortal, "b", shutdown_s=0.0), strategy=Strategy.ONE_FOR_ALL)
    refs = top.ask(ListChildren())
    occupy(refs["b"])
    refs["a"].tell(OOPS)
    assert "actor test/top/b does not end" in str(top.join(LIMIT_S))
    freed.over.set()


# -- children at run time ----------------------------------------------------------------------------------------


def test_children_can_be_started_and_stopped_at_run_time(system: ActorSystem) -> None:
    journal: list[str] = []
    top = supervise(system, part("a", journal))
    b = top.ask(StartChild(part("b", journal)))
    assert b.ask(Get()) == []
    assert top.ask(StopChild("a")) is Ended.SHUTDOWN
    assert top.ask(ListChildren()) == {"b": b}
    # A name that was given back can be used again
    assert top.ask(StartChild(part("a", journal))).ask(Get()) == []
    assert journal == ["a starts", "b starts", "a stops", "a starts"]


def test_what_cannot_be_done_is_an_error_at_the_asker_and_no_failure(system: ActorSystem) -> None:
    top = supervise(system, part("alpha"))
    with pytest.raises(ImproperlyConfigured, match="supervisor test/top has a child 'alpha' already"):
        top.ask(StartChild(part("alpha")))
    with pytest.raises(ImproperlyConfigured, match="no child 'alpa': did you mean 'alpha'"):
        top.ask(StopChild("alpa"))
    with pytest.raises(ImproperlyConfigured, match="no child 'x': its children are: alpha"):
        top.ask(StopChild("x"))
    assert list(top.ask(ListChildren())) == ["alpha"]


def test_another_message_is_a_failure_of_a_supervisor(system: ActorSystem) -> None:
    top = supervise(system)
    with pytest.raises(UnhandledMessage, match=r"it handles: .*ListChildren, StartChild, StopChild"):
        top.ask("hello")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: part(""), "must not be empty"),
        (lambda: part("a/b"), "'/'"),
        (lambda: part(shutdown_s=-1), "must not be negative: -1"),
    ],
)
def test_a_spec_must_make_sense(make: Any, says: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=says):
        make()


# -- kills -------------------------------------------------------------------------------------------------------


def test_a_supervisor_that_is_killed_kills_its_children_down_the_tree(system: ActorSystem) -> None:
    reasons: list[tuple[str, Reason]] = []

    class Leaf(Part):
        def on_stop(self, reason: Reason) -> None:
            reasons.append((self.name, reason))

        def be_busy(self, message: Busy) -> None:
            try:
                message.wait()
            except gevent.GreenletExit:
                pass

    def leaf(name: str) -> ChildSpec:
        return ChildSpec(lambda: Leaf(name), name, shutdown_s=None)

    def inner() -> Supervisor:
        return Supervisor([leaf("idle"), leaf("busy and stubborn")])

    def outer() -> Supervisor:
        return Supervisor([ChildSpec(inner, "inner", shutdown_s=None)])

    top = system.start(ChildSpec(outer, "outer", shutdown_s=0))
    leaves = child(top, "inner").ask(ListChildren())
    occupy(leaves["busy and stubborn"])
    assert system.stop_child("outer") is Ended.KILLED
    assert all(ref.stopped for ref in leaves.values())
    assert sorted(reasons, key=repr) == [("busy and stubborn", Ended.KILLED), ("idle", Ended.KILLED)]


def test_a_supervisor_that_is_killed_while_it_waits_for_a_child_kills_the_rest(system: ActorSystem) -> None:
    journal: list[str] = []
    specs = [part(name, journal, shutdown_s=None) for name in "abc"]
    top = system.start(ChildSpec(lambda: Supervisor(specs), "top", shutdown_s=0.01))
    refs = top.ask(ListChildren())
    occupy(refs["b"])
    assert system.stop_child("top") is Ended.KILLED
    assert all(ref.stopped for ref in refs.values())
    assert sorted(journal[3:]) == ["a stops", "b stops", "c stops"]


def test_a_supervisor_that_is_killed_twice_leaves_no_child_behind(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a supervisor that waits for longer for its children than it is given time itself
    monkeypatch.setattr("actorq.actors.cell.KILL_GRACE_S", 0.01)
    ended: list[str] = []

    class Hanging(Actor):
        def on_stop(self, reason: Reason) -> None:
            try:
                gevent.sleep(LIMIT_S)
            except gevent.GreenletExit:
                ended.append("killed in on_stop")
                raise

    top = system.start(ChildSpec(lambda: Supervisor([ChildSpec(Hanging, name) for name in "ab"]), "top", shutdown_s=0))
    assert len(top.ask(ListChildren())) == 2
    # When it is killed a second time, then its children are too
    system.stop_child("top")
    until(lambda: len(ended) == 2)
