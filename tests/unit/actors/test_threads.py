"""Sending to an actor from other native threads, and systems on other hubs, without monkey-patching."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import gevent
import pytest
from gevent._hub_local import get_hub_if_exists
from gevent.event import Event

from actorq import errors, native
from actorq.actors import Actor, ActorSystem, Overflow, handles
from actorq.actors.bells import GreenBell
from actorq.errors import ActorStopped, MailboxFull
from tests.support import REPOSITORY
from tests.unit.actors.support import (
    LIMIT_S,
    Add,
    Busy,
    Crash,
    Get,
    Part,
    bounded,
    in_thread,
    occupy,
    only,
    part,
    until,
)


def test_another_thread_wakes_an_idle_actor_with_what_it_tells(system: ActorSystem) -> None:
    ref = system.start(part())
    for number in range(1, 20):
        in_thread(lambda: ref.tell(Add("from afar")))()
        assert ref.ask(Get()) == ["from afar"] * number


def test_another_thread_wakes_a_hub_that_sleeps(system: ActorSystem) -> None:
    ref = only(system, Part)

    def crash_later() -> None:
        native.sleep(0.02)
        ref.tell(Crash(KeyError("far")))

    native.start_thread(crash_later)
    assert repr(ref.join(LIMIT_S)) == "KeyError('far')"  # Nothing else happens on this hub until the time is over.


def test_many_threads_lose_nothing_and_each_keeps_its_order(system: ActorSystem) -> None:
    ref = system.start(part())

    def send(thread: int) -> None:
        for number in range(2000):
            ref.tell(Add((thread, number)))

    senders = [in_thread(lambda thread=thread: send(thread)) for thread in range(4)]  # type: ignore[misc]
    for sender in senders:
        sender()
    items = ref.ask(Get())
    assert len(items) == 4 * 2000
    for thread in range(4):
        assert [number for sender, number in items if sender == thread] == list(range(2000))


def test_a_thread_that_calls_into_a_hub_does_not_touch_the_counts_of_its_loop(system: ActorSystem) -> None:
    # libev changes the count of what keeps a loop going without the GIL: another thread that does so, too, loses some,
    # and the hub ends with LoopExit.
    gate, loop = system.root._mailbox.gate, gevent.get_hub().loop
    bell, called, done = GreenBell(gevent.get_hub()), Event(), native.new_lock()
    done.acquire()

    def call() -> None:
        gate.call_soon(called.set)
        bell.ring()
        done.release()

    before = loop.activecnt
    native.start_thread(call)
    assert done.acquire(True, LIMIT_S)  # Blocks this thread, so that its loop does not run.
    assert loop.activecnt == before
    assert called.wait(LIMIT_S)
    assert bell.wait(LIMIT_S)


def test_an_actor_can_answer_a_thread_whose_hub_is_gone(system: ActorSystem) -> None:
    ref = system.start(part())
    busy = Busy()

    def ask_and_go() -> None:
        hub = gevent.get_hub()
        with pytest.raises(errors.TimeoutError):
            ref.ask(busy, 0.01)
        hub.destroy(destroy_loop=True)

    in_thread(ask_and_go)()
    ref.tell(Add(1))
    busy.over.set()
    assert ref.ask(Get()) == [1]


def test_another_thread_waits_for_its_answer_and_the_hub_goes_on(system: ActorSystem) -> None:
    ref = system.start(part())
    busy = occupy(ref)

    def ask() -> Any:
        assert get_hub_if_exists() is None
        return ref.ask(Get(), LIMIT_S), get_hub_if_exists()

    answer = in_thread(ask)
    until(lambda: ref.waiting == 1)
    busy.over.set()
    assert answer() == ([], None), "no hub was made for it"


def test_another_thread_gets_the_error_of_its_ask(system: ActorSystem) -> None:
    ref = only(system, Part)
    with pytest.raises(KeyError, match="far"):
        in_thread(lambda: ref.ask(Crash(KeyError("far")), LIMIT_S))()


def test_another_thread_is_told_that_there_was_no_answer_in_time(system: ActorSystem) -> None:
    ref = system.start(part())
    busy = occupy(ref)
    with pytest.raises(errors.TimeoutError, match=r"actor test/part has not answered Get within 0\.01 s"):
        in_thread(lambda: ref.ask(Get(), 0.01))()
    busy.over.set()


def test_another_thread_that_asks_an_actor_that_ends_is_answered(system: ActorSystem) -> None:
    ref = system.start(part(shutdown_s=0))
    busy = Busy()
    first = in_thread(lambda: ref.ask(busy, LIMIT_S))
    busy.has_begun()
    second = in_thread(lambda: ref.ask(Get(), LIMIT_S))
    until(lambda: ref.waiting == 1)
    system.stop_child("part")
    for answer in (first, second):
        with pytest.raises(ActorStopped):
            answer()


def test_threads_that_send_while_the_actor_stops_all_get_an_answer(system: ActorSystem) -> None:
    ref = system.start(part())

    def ask_until_it_has_stopped() -> str:
        while True:
            try:
                ref.ask(Add(1), LIMIT_S)
            except ActorStopped:
                return "stopped"

    askers = [in_thread(ask_until_it_has_stopped) for _ in range(4)]
    until(lambda: len(ref.ask(Get())) > 100)
    system.stop_child("part")
    assert [asker() for asker in askers] == ["stopped"] * 4


def test_the_other_policies_work_from_another_thread(system: ActorSystem) -> None:
    ref = system.start(part(mailbox=bounded(1, Overflow.REFUSE)))
    busy = occupy(ref)
    ref.tell(Add(1))
    with pytest.raises(MailboxFull):
        in_thread(lambda: ref.tell(Add(2)))()
    busy.over.set()


def test_another_thread_can_start_and_stop_actors_and_the_system() -> None:
    system = ActorSystem("test")
    journal: list[str] = []

    def control() -> None:
        ref = system.start(part("a", journal))
        assert ref.ask(Get()) == []
        system.stop(LIMIT_S)

    in_thread(control)()
    system.join(LIMIT_S)
    assert journal == ["a starts", "a stops"]


def test_another_thread_can_kill_what_does_not_stop() -> None:
    system = ActorSystem("test")
    occupy(system.start(part(shutdown_s=None)))
    in_thread(lambda: system.stop(0.01))()
    assert system.root.stopped


def test_a_system_runs_on_the_hub_of_any_thread_and_two_of_them_talk(system: ActorSystem) -> None:
    here = system.start(part("here"))

    class Far(Actor):
        @handles(Get)
        def get(self, message: Get) -> Any:
            return here.ask(Add(threading.get_ident())), threading.get_ident()

    def elsewhere() -> Any:
        with ActorSystem("elsewhere") as there:
            far = only(there, Far)
            here.tell(Add(far))
            # While this greenlet waits for the other hub, those of its own hub go on.
            ticks: list[int] = []
            ticker = gevent.spawn(lambda: ticks.append(1))
            here.ask(Get())
            ticker.join()
            return far.ask(Get(), LIMIT_S)

    count, ident = in_thread(elsewhere)()
    assert count == 2
    assert ident != threading.get_ident()


def test_a_thread_whose_hub_has_nothing_else_to_do_waits_for_the_other_hub(system: ActorSystem) -> None:
    ref = system.start(part())
    busy = occupy(ref)

    def ask() -> Any:
        gevent.get_hub()
        return ref.ask(Get())  # LoopExit, if nothing kept the hub of this thread going.

    answer = in_thread(ask)
    until(lambda: ref.waiting == 1)
    busy.over.set()
    assert answer() == []


PATCHED = """
from gevent import monkey
monkey.patch_all()
import threading
from actorq.actors import *
from actorq.native import start_thread

class Echo(Actor):
    def receive(self, message):
        return message

answers = []
with ActorSystem("patched") as system:
    ref = system.start(ChildSpec(Echo, "echo"))
    green = threading.Thread(target=lambda: answers.append(ref.ask("green", 5)))
    green.start()
    green.join(5)
    done = threading.Event()
    start_thread(lambda: answers.append(ref.ask("native", 5)))
    import gevent
    with gevent.Timeout(5):
        while len(answers) < 2:
            gevent.sleep(0.001)
print(answers)
"""


def test_it_works_in_a_monkey_patched_program_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PATCHED], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == "['green', 'native']\n", done.stderr
