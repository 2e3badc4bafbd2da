"""Who hears of the end of an actor, and who ends with it."""

from __future__ import annotations

from typing import Any

import pytest

from actorq import errors
from actorq.actors import ActorRef, ActorSystem, ChildSpec, Down, Ended, Exited, Restart, handles
from tests.unit.actors.support import LIMIT_S, Add, Crash, Get, Part, in_thread, occupy, only, part, until


class Watcher(Part):
    """Calls its own methods when it is told to, as `("link", ref)`, and keeps what it hears."""

    @handles(tuple)
    def call(self, message: tuple[str, ActorRef]) -> None:
        method, ref = message
        getattr(self, method)(ref)

    def unlink_late(self, ref: ActorRef) -> None:
        ref.join(LIMIT_S)
        self.unlink(ref)

    @handles(Down, Exited)
    def hear(self, message: Down | Exited) -> None:
        self.items.append(message)


class Trapper(Watcher):
    traps_exits = True


@pytest.fixture
def watcher(system: ActorSystem) -> ActorRef:
    return system.start(ChildSpec(Watcher, "watcher", Restart.TEMPORARY))


@pytest.fixture
def trapper(system: ActorSystem) -> ActorRef:
    return system.start(ChildSpec(Trapper, "trapper", Restart.TEMPORARY))


@pytest.fixture
def other(system: ActorSystem) -> ActorRef:
    return system.start(part("other", restart=Restart.TEMPORARY))


def heard(ref: ActorRef) -> Any:
    return ref.ask(Get(), LIMIT_S)


# -- monitors ----------------------------------------------------------------------------------------------------


def test_a_monitor_hears_why_an_actor_has_stopped(watcher: ActorRef, other: ActorRef) -> None:
    other.monitor(watcher)
    error = KeyError("x")
    other.tell(Crash(error))
    until(lambda: heard(watcher) == [Down(other, error)])


def test_a_monitor_hears_of_a_normal_stop_too(watcher: ActorRef, other: ActorRef) -> None:
    watcher.ask(("monitor", other))
    other.stop()
    until(lambda: heard(watcher) == [Down(other, Ended.NORMAL)])


def test_a_monitor_of_an_actor_that_has_stopped_already_is_answered(watcher: ActorRef, other: ActorRef) -> None:
    other.stop()
    other.join(LIMIT_S)
    other.monitor(watcher)
    assert heard(watcher) == [Down(other, Ended.NORMAL)]


def test_a_monitor_that_comes_with_the_last_message_is_answered(watcher: ActorRef, other: ActorRef) -> None:
    busy = occupy(other)
    other.stop()
    other.monitor(watcher)
    busy.over.set()
    until(lambda: heard(watcher) == [Down(other, Ended.NORMAL)])


def test_a_restart_is_no_end_for_a_monitor(system: ActorSystem, watcher: ActorRef) -> None:
    ref = system.start(part())
    ref.monitor(watcher)
    ref.tell(Crash(KeyError("x")))
    assert ref.ask(Get()) == []
    assert heard(watcher) == []
    system.stop_child("part")
    assert heard(watcher) == [Down(ref, Ended.SHUTDOWN)]


def test_a_watcher_is_told_once_and_not_after_it_has_taken_the_monitor_back(
    system: ActorSystem, watcher: ActorRef, other: ActorRef
) -> None:
    second = system.start(part("second", restart=Restart.TEMPORARY))
    for _ in range(2):
        other.monitor(watcher)
        watcher.ask(("monitor", second))
    watcher.ask(("unmonitor", second))
    for ref in (second, other):
        ref.stop()
        ref.join(LIMIT_S)
    assert heard(watcher) == [Down(other, Ended.NORMAL)]


def test_down_overtakes_what_stands_in_the_mailbox(watcher: ActorRef, other: ActorRef) -> None:
    other.monitor(watcher)
    busy = occupy(watcher)
    watcher.tell(Add("told before"))
    other.stop()
    other.join(LIMIT_S)
    busy.over.set()
    assert heard(watcher) == [Down(other, Ended.NORMAL), "told before"]


def test_join_waits_for_the_end_and_gives_its_time_back(other: ActorRef) -> None:
    with pytest.raises(errors.TimeoutError, match=r"actor test/other has not stopped within 0\.01 s"):
        other.join(0.01)
    other.stop()
    assert other.join(LIMIT_S) is Ended.NORMAL
    assert other.join() is Ended.NORMAL


# -- links -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["watcher", "other"])
def test_a_failure_ends_the_linked_actor_on_either_side(watcher: ActorRef, other: ActorRef, first: str) -> None:
    watcher.ask(("link", other))
    error = KeyError("x")
    (watcher if first == "watcher" else other).tell(Crash(error))
    assert watcher.join(LIMIT_S) is error
    assert other.join(LIMIT_S) is error


def test_a_failure_goes_through_a_chain_of_links(system: ActorSystem, watcher: ActorRef, other: ActorRef) -> None:
    last = system.start(ChildSpec(Watcher, "last", Restart.TEMPORARY))
    last.ask(("link", watcher))
    watcher.ask(("link", other))
    other.tell(Crash(KeyError("x")))
    assert repr(last.join(LIMIT_S)) == "KeyError('x')"


def test_a_normal_end_does_not_end_the_linked_actor(watcher: ActorRef, other: ActorRef) -> None:
    watcher.ask(("link", other))
    other.stop()
    other.join(LIMIT_S)
    assert heard(watcher) == []


def test_an_actor_that_traps_exits_gets_a_message_instead(trapper: ActorRef, other: ActorRef) -> None:
    trapper.ask(("link", other))
    error = KeyError("x")
    other.tell(Crash(error))
    until(lambda: heard(trapper) == [Exited(other, error)])


def test_a_trapped_exit_may_be_a_normal_one(trapper: ActorRef, other: ActorRef) -> None:
    trapper.ask(("link", other))
    other.stop()
    until(lambda: heard(trapper) == [Exited(other, Ended.NORMAL)])


def test_a_link_to_an_actor_that_has_stopped_already_is_answered(trapper: ActorRef, other: ActorRef) -> None:
    error = KeyError("x")
    other.tell(Crash(error))
    other.join(LIMIT_S)
    trapper.ask(("link", other))
    until(lambda: heard(trapper) == [Exited(other, error)])


def test_an_unlinked_actor_goes_on(watcher: ActorRef, other: ActorRef) -> None:
    watcher.ask(("link", other))
    watcher.ask(("unlink", other))
    other.tell(Crash(KeyError("x")))
    other.join(LIMIT_S)
    assert heard(watcher) == []


def test_an_exit_that_is_under_way_when_the_link_is_taken_back_changes_nothing(
    watcher: ActorRef, other: ActorRef
) -> None:
    watcher.ask(("link", other))
    watcher.tell(("unlink_late", other))
    other.tell(Crash(KeyError("x")))
    assert heard(watcher) == []


def test_a_link_is_gone_with_a_restart_of_either_side(system: ActorSystem, trapper: ActorRef) -> None:
    ref = system.start(part())
    trapper.ask(("link", ref))
    ref.tell(Crash(KeyError("first")))
    until(lambda: [str(exited.reason) for exited in heard(trapper)] == ["'first'"])
    ref.tell(Crash(KeyError("second")))
    assert ref.ask(Get()) == []
    assert len(heard(trapper)) == 1


def test_a_link_to_itself_changes_nothing(system: ActorSystem) -> None:
    journal: list[str] = []

    class Narcissus(Part):
        @handles(str)
        def link_and_fail(self, message: str) -> None:
            self.link(self.ref)
            raise KeyError(message)

    ref = system.start(ChildSpec(lambda: Narcissus("n", journal), "n"))
    ref.tell("x")
    assert ref.ask(Get()) == []
    assert journal == ["n starts", "n stops", "n starts"]


# -- across threads ----------------------------------------------------------------------------------------------


def test_links_and_monitors_work_between_the_hubs_of_two_threads(trapper: ActorRef, watcher: ActorRef) -> None:
    def elsewhere() -> ActorRef:
        with ActorSystem("elsewhere") as there:
            ref = only(there, Watcher)
            ref.ask(("link", trapper))
            ref.monitor(watcher)
            ref.tell(Crash(KeyError("far")))
            ref.join(LIMIT_S)
            return ref

    far = in_thread(elsewhere)()
    until(lambda: [repr(message) for message in heard(trapper)] == [repr(Exited(far, KeyError("far")))])
    until(lambda: [repr(message) for message in heard(watcher)] == [repr(Down(far, KeyError("far")))])
