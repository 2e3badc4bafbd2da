"""An actor from its start to its end: hooks, failures, kills, and interrupts of the program."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from typing import Any

import gevent
import pytest
from gevent import GreenletExit

from actorq.actors import Actor, ActorSystem, ChildSpec, Ended, ListChildren, Reason, Restart, Supervisor, handles
from actorq.actors.cell import Cell
from actorq.errors import ActorStopped
from tests.support import REPOSITORY
from tests.unit.actors.support import LIMIT_S, Add, Busy, Crash, Get, Part, occupy, only, part, until


class Hooked(Part):
    """Writes its hooks with the reason into the journal."""

    def on_stop(self, reason: Reason) -> None:
        self.journal.append(f"stops: {reason!r}")

    @handles(str)
    def command(self, message: str) -> None:
        if message == "stop":
            self.stop()
        else:
            self.stop(RuntimeError(message))


def hooked(journal: list[str], restart: Restart = Restart.TEMPORARY, shutdown_s: float = 5.0) -> ChildSpec:
    return ChildSpec(lambda: Hooked("it", journal), "hooked", restart, shutdown_s)


# -- start and stop ----------------------------------------------------------------------------------------------


def test_an_actor_has_started_when_start_returns_and_has_stopped_when_stop_returns(system: ActorSystem) -> None:
    journal: list[str] = []
    system.start(hooked(journal))
    assert journal == ["it starts"]
    assert system.stop_child("hooked") is Ended.SHUTDOWN
    assert journal == ["it starts", "stops: <Ended.SHUTDOWN: 'was shut down'>"]


def test_messages_that_come_while_it_starts_are_handled_afterwards(system: ActorSystem) -> None:
    busy = Busy()

    class Slow(Part):
        def on_start(self) -> None:
            self.ref.tell(Add("early"))
            busy.wait()
            self.items.append("started")

    starter = gevent.spawn(system.start, ChildSpec(Slow, "slow"))
    busy.has_begun()
    assert not starter.ready()
    busy.over.set()
    assert starter.get(timeout=LIMIT_S).ask(Get()) == ["started", "early"]


@pytest.mark.parametrize("where", ["factory", "on_start"])
def test_an_actor_that_cannot_start_raises_at_whoever_starts_it_and_is_forgotten(
    system: ActorSystem, where: str
) -> None:
    stopped = False

    class Broken(Actor):
        def __init__(self) -> None:
            if where == "factory":
                raise OSError("no disk")

        def on_start(self) -> None:
            raise OSError("no disk")

        def on_stop(self, reason: Reason) -> None:
            nonlocal stopped
            stopped = True

    with pytest.raises(OSError, match="no disk"):
        system.start(ChildSpec(Broken, "broken"))
    assert system.children() == {}
    assert not stopped, "what has not started is not stopped"


def test_an_actor_can_stop_itself(system: ActorSystem) -> None:
    journal: list[str] = []
    ref = system.start(hooked(journal))
    ref.tell("stop")
    assert ref.join(LIMIT_S) is Ended.NORMAL
    assert journal[-1] == "stops: <Ended.NORMAL: 'stopped'>"


def test_an_actor_can_stop_itself_with_a_failure(system: ActorSystem) -> None:
    ref = system.start(hooked([]))
    ref.tell("no work left")
    assert repr(ref.join(LIMIT_S)) == "RuntimeError('no work left')"


def test_what_an_actor_can_do_needs_it_to_have_been_started() -> None:
    class Hasty(Actor):
        def __init__(self) -> None:
            self.after(1, "ring")

    with pytest.raises(RuntimeError, match=r"Hasty is not started yet: do this in on_start\(\)"):
        Hasty()


def test_an_error_in_on_stop_makes_a_normal_end_a_failure(system: ActorSystem) -> None:
    class Sloppy(Actor):
        def on_stop(self, reason: Reason) -> None:
            raise OSError("disk full")

    ref = only(system, Sloppy)
    ref.stop()
    assert repr(ref.join(LIMIT_S)) == "OSError('disk full')"


def test_an_error_in_on_stop_does_not_hide_the_failure_before(
    system: ActorSystem, caplog: pytest.LogCaptureFixture
) -> None:
    class Sloppy(Part):
        def on_stop(self, reason: Reason) -> None:
            raise OSError("disk full")

    ref = only(system, Sloppy)
    ref.tell(Crash(KeyError("first")))
    assert repr(ref.join(LIMIT_S)) == "KeyError('first')"
    assert "actor test/only failed in on_stop" in caplog.text
    assert "disk full" in caplog.text


# -- failures ----------------------------------------------------------------------------------------------------


def test_a_failure_ends_the_actor_after_on_stop_and_is_logged(
    system: ActorSystem, caplog: pytest.LogCaptureFixture
) -> None:
    journal: list[str] = []
    ref = system.start(hooked(journal))
    error = KeyError("x")
    ref.tell(Crash(error))
    assert ref.join(LIMIT_S) is error
    assert journal == ["it starts", "stops: KeyError('x')"]
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "actor test/hooked failed with KeyError('x')"
    assert record.exc_info is not None and record.exc_info[1] is error


def test_on_failure_can_let_the_actor_go_on_with_its_state(system: ActorSystem) -> None:
    class Patient(Part):
        def on_failure(self, error: BaseException, message: Any) -> None:
            self.items.append((type(message).__name__, repr(error)))

    ref = only(system, Patient)
    ref.tell(Add(1))
    ref.tell(Crash(KeyError("told")))
    with pytest.raises(KeyError, match="asked"):
        ref.ask(Crash(KeyError("asked")))
    assert ref.ask(Get()) == [1, ("Crash", "KeyError('told')"), ("Crash", "KeyError('asked')")]


def test_on_failure_can_fail_with_something_else(system: ActorSystem) -> None:
    class Translator(Part):
        def on_failure(self, error: BaseException, message: Any) -> None:
            raise RuntimeError("lost the connection") from error

    ref = only(system, Translator)
    ref.tell(Crash(KeyError("x")))
    assert repr(ref.join(LIMIT_S)) == "RuntimeError('lost the connection')"


def test_a_timeout_of_gevent_is_a_failure_like_others_although_it_is_no_exception(system: ActorSystem) -> None:
    failures: list[BaseException] = []

    class Impatient(Actor):
        def receive(self, message: Any) -> None:
            with gevent.Timeout(0.001):
                gevent.sleep(LIMIT_S)

        def on_failure(self, error: BaseException, message: Any) -> None:
            failures.append(error)

    ref = only(system, Impatient)
    ref.tell("told")
    with pytest.raises(gevent.Timeout):
        ref.ask("asked")
    assert [type(error) for error in failures] == [gevent.Timeout, gevent.Timeout]


@pytest.mark.parametrize("asked", [False, True])
def test_on_failure_has_no_say_when_the_actor_is_killed(system: ActorSystem, asked: bool) -> None:
    failures: list[BaseException] = []

    class Lenient(Part):
        def on_failure(self, error: BaseException, message: Any) -> None:
            failures.append(error)

    ref = system.start(ChildSpec(Lenient, "lenient", shutdown_s=0))
    busy = Busy()
    sender = gevent.spawn(capture, ref.ask if asked else ref.tell, busy)
    busy.has_begun()
    assert system.stop_child("lenient") is Ended.KILLED
    assert failures == []
    sender.join(LIMIT_S)


# -- kills -------------------------------------------------------------------------------------------------------


def test_an_actor_that_is_busy_for_too_long_is_killed_and_still_runs_on_stop(system: ActorSystem) -> None:
    journal: list[str] = []
    ref = system.start(hooked(journal, shutdown_s=0.01))
    occupy(ref)
    assert system.stop_child("hooked") is Ended.KILLED
    assert journal == ["it starts", "stops: <Ended.KILLED: 'was killed'>"]


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("supervised", [False, True])
def test_an_actor_that_is_killed_has_time_for_on_stop(system: ActorSystem, busy: bool, supervised: bool) -> None:
    journal: list[object] = []

    class Careful(Part):
        def on_stop(self, reason: Reason) -> None:
            gevent.sleep(0.02)
            journal.append(reason)

    spec = ChildSpec(Careful, "careful", shutdown_s=0)
    if supervised:
        top = system.start(ChildSpec(lambda: Supervisor([spec]), "top", shutdown_s=0))
        ref = top.ask(ListChildren())["careful"]
    else:
        ref = system.start(spec)
    if busy:
        occupy(ref)
    system.stop_child("top" if supervised else "careful")
    assert journal == [Ended.KILLED]


def test_an_idle_actor_that_is_killed_from_outside_runs_on_stop_and_answers(system: ActorSystem) -> None:
    class Own(Hooked):
        @handles(tuple)
        def greenlet(self, message: tuple[()]) -> Any:
            return gevent.getcurrent()

    journal: list[str] = []
    ref = system.start(ChildSpec(lambda: Own("it", journal), "own", Restart.TEMPORARY))
    ref.ask(()).kill()
    assert ref.join(LIMIT_S) is Ended.KILLED
    assert journal == ["it starts", "stops: <Ended.KILLED: 'was killed'>"]


def test_an_actor_that_is_killed_before_it_began_is_never_made_and_answers(
    system: ActorSystem,
) -> None:
    made: list[Actor] = []

    def make() -> Actor:
        made.append(Part())
        return made[0]

    cell = Cell(ChildSpec(make, "early"), system.root._mailbox.gate, parent=None)
    cell.ref.tell(Add(1))
    starter = gevent.spawn(cell.start)
    asker = gevent.spawn(capture, cell.ref.ask, Get())
    gevent.sleep(0)  # The starter has made the greenlet; it is to begin in the hub's next round.
    cell._greenlet.kill(block=False)
    assert starter.get(timeout=LIMIT_S) is Ended.KILLED
    assert isinstance(asker.get(timeout=LIMIT_S), ActorStopped)
    assert made == []


def test_an_actor_that_catches_its_kill_ends_after_the_message_all_the_same(system: ActorSystem) -> None:
    handled: list[str] = []

    class Stubborn(Part):
        @handles(str)
        def wait(self, message: str) -> None:
            handled.append(message)
            try:
                gevent.sleep(LIMIT_S)
            except GreenletExit:
                handled.append("caught")

    ref = system.start(ChildSpec(Stubborn, "stubborn", shutdown_s=0))
    ref.tell("first")
    ref.tell("second")
    until(lambda: handled)
    system.stop_child("stubborn")
    assert ref.stopped
    assert handled == ["first", "caught"]


def test_an_on_stop_that_hangs_is_killed_too(system: ActorSystem) -> None:
    begun: list[Reason] = []

    class Hanging(Actor):
        def on_stop(self, reason: Reason) -> None:
            begun.append(reason)
            gevent.sleep(LIMIT_S)

    ref = system.start(ChildSpec(Hanging, "hanging", shutdown_s=0.01))
    assert system.stop_child("hanging") is Ended.KILLED
    assert begun == [Ended.SHUTDOWN]
    assert ref.stopped


def test_an_actor_that_cannot_be_killed_is_left_behind_and_its_askers_are_answered(
    system: ActorSystem, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorq.actors.cell.KILL_GRACE_S", 0.01)
    freed = Busy()
    handled: list[object] = []
    greenlets: list[Any] = []

    class Immortal(Actor):
        def receive(self, message: Any) -> None:
            handled.append(message)
            greenlets.append(gevent.getcurrent())
            while not freed.over.is_set():
                try:
                    freed.over.wait(LIMIT_S)
                except GreenletExit:
                    pass

    ref = system.start(ChildSpec(Immortal, "immortal", shutdown_s=0))
    first, second = gevent.spawn(capture, ref.ask, "first"), gevent.spawn(capture, ref.ask, "second")
    until(lambda: handled and ref.waiting)
    system.stop_child("immortal")
    assert "actor test/immortal goes on although it was killed 3 times; it is left behind" in caplog.text
    assert isinstance(first.get(timeout=LIMIT_S), ActorStopped)
    assert isinstance(second.get(timeout=LIMIT_S), ActorStopped)
    # And when it comes back in the end, then it handles nothing more.
    freed.over.set()
    until(lambda: greenlets[0].dead)
    assert handled == ["first"]


# -- interrupts of the program -----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_an_interrupt_in_an_actor_ends_the_program_and_starts_nothing_again(error: BaseException) -> None:
    journal: list[str] = []
    outcome: list[Any] = []
    with pytest.raises(type(error)) as caught, ActorSystem("test") as system:  # noqa: PT012
        system.start(part("first", journal))
        ref = system.start(part("second", journal))
        asker = gevent.spawn(lambda: outcome.append(capture(ref.ask, Crash(error))))
        system.join(LIMIT_S)
    assert caught.value is error
    assert journal == ["first starts", "second starts", "second stops", "first stops"]
    asker.join(LIMIT_S)
    assert isinstance(outcome[0], ActorStopped)


def test_a_program_whose_main_greenlet_survives_an_interrupt_gets_it_from_join_too(system: ActorSystem) -> None:
    ref = system.start(part())
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        ref.tell(Crash(KeyboardInterrupt()))
        gevent.sleep(LIMIT_S)
    with pytest.raises(KeyboardInterrupt):
        system.join(LIMIT_S)


def test_an_interrupt_in_on_stop_ends_the_program_too() -> None:
    class Interrupted(Part):
        def on_stop(self, reason: Reason) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), ActorSystem("test") as system:  # noqa: PT012
        only(system, Interrupted).tell(Crash(KeyError("x")))
        system.join(LIMIT_S)


@pytest.mark.parametrize("interrupted_start", [1, 2])
def test_an_interrupt_while_an_actor_starts_ends_the_program_and_is_not_tried_again(interrupted_start: int) -> None:
    journal: list[str] = []

    class Interrupted(Part):
        def on_start(self) -> None:
            super().on_start()
            if journal.count("it starts") == interrupted_start:
                raise KeyboardInterrupt

    system = ActorSystem("test")
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        system.start(ChildSpec(lambda: Interrupted("it", journal), "it")).tell(Crash(KeyError("x")))
        system.join(LIMIT_S)
    gevent.sleep(0.01)  # The main greenlet gets it once,
    with pytest.raises(KeyboardInterrupt):
        system.join(LIMIT_S)  # and the system has ended because of it.
    assert journal.count("it starts") == interrupted_start


PROGRAM = """
import signal, sys, time
from actorq.actors import *

signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell has what it starts with & ignore it.

class Computing(Actor):
    def on_start(self):
        self.after(0, "compute")
    def on_stop(self, reason):
        print("stopped by", type(reason).__name__, flush=True)
    def receive(self, message):
        print("computing", flush=True)
        while True:
            time.sleep(0.01) if sys.argv[1] == "busy" else __import__("gevent").sleep(60)

ActorSystem("program").run(ChildSpec(Computing, "computing", shutdown_s=0))
"""


@pytest.mark.parametrize(
    ("how", "reasons"),
    [("busy", {"KeyboardInterrupt"}), ("idle", {"Ended", "KeyboardInterrupt"})],  # Idle: it may come before the sleep.
)
def test_control_c_stops_the_system_and_ends_the_program(how: str, reasons: set[str]) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, how], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "computing\n"
        program.send_signal(signal.SIGINT)
        output, errors = program.communicate(timeout=LIMIT_S)
    finally:
        program.kill()
    assert output in {f"stopped by {reason}\n" for reason in reasons}
    assert program.returncode in {-signal.SIGINT, 1}, errors
    assert "KeyboardInterrupt" in errors


def capture(call: Any, *arguments: object) -> Any:
    """What a call returns, or the error that it raises."""
    try:
        return call(*arguments)
    except Exception as error:
        return error
