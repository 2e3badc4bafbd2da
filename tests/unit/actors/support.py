"""Actors that tests share, and waiting on a hub that is not monkey-patched."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import gevent
from gevent.event import Event

from actorq.actors import Actor, ActorRef, ActorSystem, ChildSpec, MailboxSettings, Overflow, Reason, Restart, handles
from actorq.native import start_thread

LIMIT_S = 10.0
"""No wait in these tests takes longer, unless something is broken."""

T = TypeVar("T")


def until(condition: Callable[[], T], what: str = "the condition") -> T:
    """Let the hub run until `condition` returns something true, and return that."""
    deadline_s = time.monotonic() + LIMIT_S
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline_s, f"{what} did not come true within {LIMIT_S:g} s"
        gevent.sleep(0.001)


def in_thread(run: Callable[[], T]) -> Callable[[], T]:
    """Run it on a native thread. Returns a function that waits for what it returned, while the hub goes on."""
    outcome: list[tuple[Any, BaseException | None]] = []

    def main() -> None:
        try:
            outcome.append((run(), None))
        except BaseException as error:
            outcome.append((None, error))

    def result() -> T:
        until(lambda: outcome, "the end of the thread")
        value, error = outcome[0]
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]

    start_thread(main)
    return result


@dataclass(frozen=True)
class Add:
    item: object


@dataclass(frozen=True)
class Get:
    """Answered with all that was added."""


@dataclass(frozen=True)
class Crash:
    error: BaseException


class Busy:
    """Keeps an actor busy with this message from `begun` until `over` is set, or until it is killed."""

    def __init__(self) -> None:
        self.begun = Event()
        self.over = Event()

    def wait(self) -> None:
        self.begun.set()
        assert self.over.wait(LIMIT_S)

    def has_begun(self) -> None:
        assert self.begun.wait(LIMIT_S)


class Part(Actor):
    """Writes its starts and stops into a journal that outlives it, keeps what it gets, and fails when it is told to."""

    def __init__(self, name: str = "part", journal: list[str] | None = None) -> None:
        self.name = name
        self.journal = [] if journal is None else journal
        self.items: list[object] = []

    def on_start(self) -> None:
        self.journal.append(f"{self.name} starts")

    def on_stop(self, reason: Reason) -> None:
        self.journal.append(f"{self.name} stops")

    @handles(Add)
    def add(self, message: Add) -> int:
        self.items.append(message.item)
        return len(self.items)

    @handles(Get)
    def get(self, message: Get) -> list[object]:
        return list(self.items)

    @handles(Crash)
    def crash(self, message: Crash) -> None:
        raise message.error

    @handles(Busy)
    def be_busy(self, message: Busy) -> None:
        message.wait()


def part(
    name: str = "part",
    journal: list[str] | None = None,
    restart: Restart = Restart.PERMANENT,
    shutdown_s: float | None = 5.0,
    mailbox: MailboxSettings | None = None,
) -> ChildSpec:
    """The spec of a Part."""
    return ChildSpec(lambda: Part(name, journal), name, restart, shutdown_s, mailbox or MailboxSettings())


def bounded(limit: int, overflow: Overflow, block_timeout_s: float = LIMIT_S) -> MailboxSettings:
    return MailboxSettings(limit, overflow, block_timeout_s)


def occupy(ref: ActorRef) -> Busy:
    """Keep the actor busy; returns when it is."""
    busy = Busy()
    ref.tell(busy)
    busy.has_begun()
    return busy


def only(system: ActorSystem, actor: Callable[[], Actor], restart: Restart = Restart.TEMPORARY) -> ActorRef:
    """Start an actor that is not started again."""
    return system.start(ChildSpec(actor, "only", restart))
