"""Signals: functions that are called when something happens, without knowing those to whom it happens."""

from __future__ import annotations

import inspect
import logging
import os
import time
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from actorq import native

R = TypeVar("R", bound=Callable[..., Any])
RETRY_STEP_S, RETRY_MAX_S = 2.0, 30.0
"""Before a receiver that was connected with `retry` is called again: so much longer each time."""

logger = logging.getLogger("actorq.signals")


class Group:
    """Signals that go together: whoever sends them asks `heard`, once for all of them."""

    def __init__(self) -> None:
        self.heard = False
        """Whether anybody is connected to any of them."""
        self._signals: list[Signal] = []
        self._watchers: list[weakref.WeakMethod[Callable[[], None]]] = []

    def watch(self, method: Callable[[], None]) -> None:
        """Call the method of an object, as long as that is there, when `heard` has changed."""
        self._watchers = [each for each in self._watchers if each() is not None]
        self._watchers.append(weakref.WeakMethod(method))

    def add(self, signal: Signal) -> None:
        """`signal` belongs to it."""
        self._signals.append(signal)

    def look(self) -> None:
        """Somebody was connected, or is no more."""
        heard = any(signal.receivers for signal in self._signals)
        if heard != self.heard:
            self.heard = heard
            for found in [each() for each in self._watchers]:
                if found is not None:
                    found()


@dataclass(frozen=True, slots=True)
class _Connection:
    key: tuple[Hashable, Hashable]
    """What it is known by: its receiver, or `dispatch_uid`, and the sender."""
    find: Callable[[], Callable[..., Any] | None]
    """The receiver; None when it was weak and is gone."""
    retry: bool = field(default=False)


class Signal:
    """Something that happens, and those who want to hear of it.

        @task_failure.connect
        def tell(sender, task_id, exception, **others): ...

    Receivers get `sender`, `signal` and what the signal provides, by keyword; more may come in later releases, so they
    take ``**others``. They run one after the other, where it happens: a slow one holds that up. What one raises is
    logged, and does not keep others from being called.
    """

    def __init__(self, name: str, provides: tuple[str, ...] = (), group: Group | None = None) -> None:
        self.name = name
        self.provides = provides
        """What receivers get beside `sender` and `signal`."""
        self.receivers: tuple[_Connection, ...] = ()
        """Replaced when it changes, so that `send` needs no lock. Empty: nobody listens."""
        self._group = group
        self._lock = native.new_lock()
        self._some_are_gone = False
        if group is not None:
            group.add(self)

    @overload
    def connect(
        self, receiver: R, sender: Any = ..., weak: bool = ..., dispatch_uid: Hashable = ..., retry: bool = ...
    ) -> R: ...

    @overload
    def connect(
        self, receiver: None = ..., sender: Any = ..., weak: bool = ..., dispatch_uid: Hashable = ..., retry: bool = ...
    ) -> Callable[[R], R]: ...

    def connect(
        self,
        receiver: Any = None,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Hashable = None,
        retry: bool = False,
    ) -> Any:
        """Have `receiver` called. Also a decorator: ``@signal.connect``, ``@signal.connect(sender=…)``.

        sender: only what this one sends. A task, and whatever else has a name, may be given by its name. weak: forget
        the receiver when nobody else knows it any more; for a lambda, or a function inside of another, say False.
        dispatch_uid: another receiver with the same one is not connected. retry: when it raises, call it again until
        it does not; whoever sends waits. Raises ValueError if the receiver does not take any keyword.
        """
        if receiver is None:
            return lambda fn: self.connect(fn, sender, weak, dispatch_uid, retry)
        if not _takes_keywords(receiver):
            raise ValueError(f"a receiver of {self.name} takes what comes by keyword: add **kwargs to {receiver!r}")
        find = self._weak(receiver) if weak and not retry else lambda: receiver
        connection = _Connection(_key(receiver, sender, dispatch_uid), find, retry)
        with self._lock:
            living = self._living()
            if all(each.key != connection.key for each in living):
                living.append(connection)
            self.receivers = tuple(living)
        self._changed()
        self._connected(connection)
        return receiver

    def disconnect(
        self, receiver: Any = None, sender: Any = None, weak: Any = None, dispatch_uid: Hashable = None
    ) -> bool:
        """Take back what `connect` was told with the same arguments. Returns whether there was such a connection."""
        key = _key(receiver, sender, dispatch_uid)
        with self._lock:
            living = self._living()
            left = tuple(each for each in living if each.key != key)
            self.receivers = left
        self._changed()
        return len(left) < len(living)

    def has_listeners(self, sender: Any = None) -> bool:
        """Whether anybody would hear what `sender` sends."""
        return any(each.find() is not None for each in self._those_of(sender))

    def send(self, sender: Any, **named: Any) -> list[tuple[Callable[..., Any], Any]]:
        """Call the receivers. Returns each with what it returned, or with the exception that it raised."""
        if not self.receivers:
            return []
        if self._some_are_gone:
            self._sweep()
        answers = []
        for connection in self._those_of(sender):
            receiver = connection.find()
            if receiver is not None:
                answers.append((receiver, self._call(connection, receiver, sender, named)))
        return answers

    send_robust = send

    def _call(self, connection: _Connection, receiver: Callable[..., Any], sender: Any, named: dict[str, Any]) -> Any:
        pause_s = 0.0
        while True:
            try:
                return receiver(signal=self, sender=sender, **named)
            except Exception as error:
                logger.exception("receiver %r of the signal %s raised %r", receiver, self.name, error)
                if not connection.retry:
                    return error
            pause_s = min(pause_s + RETRY_STEP_S, RETRY_MAX_S)
            time.sleep(pause_s)

    def _those_of(self, sender: Any) -> list[_Connection]:
        key = _identity(sender)
        return [each for each in self.receivers if each.key[1] is None or each.key[1] == key]

    def _weak(self, receiver: Callable[..., Any]) -> Callable[[], Callable[..., Any] | None]:
        return (
            weakref.WeakMethod(receiver, self._gone)
            if hasattr(receiver, "__self__") and hasattr(receiver, "__func__")
            else weakref.ref(receiver, self._gone)
        )

    def _gone(self, _: object) -> None:
        """A receiver is no more. This comes at any place, also where the lock is held: the rest is for later."""
        self._some_are_gone = True

    def _living(self) -> list[_Connection]:
        self._some_are_gone = False
        return [each for each in self.receivers if each.find() is not None]

    def _sweep(self) -> None:
        with self._lock:
            self.receivers = tuple(self._living())
        self._changed()

    def _connected(self, connection: _Connection) -> None:
        """Somebody was connected."""

    def _changed(self) -> None:
        if self._group is not None:
            self._group.look()

    def __repr__(self) -> str:
        return f"<Signal {self.name}: {', '.join(self.provides)}>"


class OnceSignal(Signal):
    """Something that happens once. Who connects afterwards is called at once, instead of never."""

    def __init__(self, name: str, provides: tuple[str, ...] = ()) -> None:
        super().__init__(name, provides)
        self._sent: tuple[Any, dict[str, Any]] | None = None

    def _connected(self, connection: _Connection) -> None:
        receiver = connection.find()
        if self._sent is not None and receiver is not None:
            self._call(connection, receiver, *self._sent)

    def send(self, sender: Any, **named: Any) -> list[tuple[Callable[..., Any], Any]]:
        """Call the receivers, the first time only."""
        if self._sent is not None:
            return []
        self._sent = sender, named
        return super().send(sender, **named)


class ForkSignal(Signal):
    """Sent in each process that is forked off this one, as long as its sender is there."""

    def __init__(self, name: str, sender: object) -> None:
        super().__init__(name)
        self._sender = weakref.ref(sender)
        self._is_set_up = False

    def _connected(self, connection: _Connection) -> None:
        if self._is_set_up:
            return
        self._is_set_up = True
        known = weakref.ref(self)  # What is registered so stays registered.

        def forked() -> None:
            signal = known()
            sender = None if signal is None else signal._sender()
            if signal is not None and sender is not None:
                signal.send(sender)

        os.register_at_fork(after_in_child=forked)


def _takes_keywords(receiver: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(receiver).parameters.values()
    except (TypeError, ValueError):
        return True  # Something of C, which does not say.
    return any(each.kind is each.VAR_KEYWORD for each in parameters)


def _key(receiver: Any, sender: Any, dispatch_uid: Hashable) -> tuple[Hashable, Hashable]:
    if dispatch_uid:
        return dispatch_uid, _identity(sender)
    fn = getattr(receiver, "__func__", None)
    return (id(receiver) if fn is None else (id(receiver.__self__), id(fn))), _identity(sender)


def _identity(sender: Any) -> Hashable:
    """What a sender is known by: its name, if it has one."""
    if sender is None or isinstance(sender, str):
        return sender
    name = getattr(sender, "name", None)
    return name if isinstance(name, str) else id(sender)
