"""Signals: who hears what, for how long, and what it costs those who send."""

from __future__ import annotations

import gc
import logging
from typing import Any

import pytest

from actorq import signals
from actorq.dispatch import Group, OnceSignal, Signal

NAMES = """
    before_task_publish after_task_publish task_received task_prerun task_postrun task_success task_retry task_failure
    task_internal_error task_revoked task_rejected task_unknown worker_init worker_ready worker_shutting_down
    worker_shutdown celeryd_init celeryd_after_setup worker_process_init worker_process_shutdown
    worker_before_create_process heartbeat_sent setup_logging after_setup_logger after_setup_task_logger import_modules
    beat_init beat_embedded_init
"""


class Named:
    name = "proj.add"


@pytest.fixture
def signal() -> Signal:
    return Signal("happened", ("what",))


@pytest.fixture
def heard() -> list[Any]:
    return []


@pytest.mark.parametrize("name", NAMES.split())
def test_every_signal_is_known_by_its_name(name: str) -> None:
    assert getattr(signals, name).name == name


def test_a_receiver_gets_the_sender_and_what_the_signal_provides(signal: Signal) -> None:
    @signal.connect
    def receive(sender: Any, what: str, **others: Any) -> str:
        assert others == {"signal": signal}
        return f"{sender}: {what}"

    assert signal.send("me", what="rain") == [(receive, "me: rain")]


def test_a_receiver_hears_only_the_sender_that_it_named(signal: Signal, heard: list[Any]) -> None:
    @signal.connect(sender="me")
    def receive(sender: Any, **_: Any) -> None:
        heard.append(sender)

    signal.send("you")
    signal.send("me")
    assert heard == ["me"]
    assert signal.has_listeners("me") and not signal.has_listeners("you")


@pytest.mark.parametrize("sender", [Named(), "proj.add"])
@pytest.mark.parametrize("sent_by", [Named(), "proj.add"])
def test_a_task_is_known_by_its_name(signal: Signal, heard: list[Any], sender: Any, sent_by: Any) -> None:
    # Tasks that travel by value are other objects in the worker than where the receiver was connected.
    signal.connect(lambda **_: heard.append(1), sender=sender, weak=False)
    signal.send(sent_by)
    assert heard == [1]


def test_what_a_receiver_raises_is_logged_and_keeps_nobody_else_from_hearing(
    signal: Signal, heard: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    @signal.connect
    def fail(**_: Any) -> None:
        raise ValueError("no")

    @signal.connect
    def receive(**_: Any) -> None:
        heard.append(1)

    with caplog.at_level(logging.ERROR, "actorq.signals"):
        (_, error), _ = signal.send(None)
    assert isinstance(error, ValueError) and heard == [1]
    assert "happened" in caplog.text and "ValueError" in caplog.text


def test_a_receiver_that_nobody_else_knows_is_forgotten(signal: Signal, heard: list[Any]) -> None:
    signal.connect(lambda **_: heard.append("weak"))
    signal.connect(lambda **_: heard.append("strong"), weak=False)
    gc.collect()
    signal.send(None)
    assert heard == ["strong"]
    assert len(signal.receivers) == 1


def test_methods_are_held_by_their_objects(signal: Signal, heard: list[Any]) -> None:
    class Listener:
        def receive(self, **_: Any) -> None:
            heard.append(self)

    listener = Listener()
    signal.connect(listener.receive)
    signal.connect(listener.receive)
    signal.connect(Listener().receive)
    gc.collect()
    signal.send(None)
    assert heard == [listener]


def test_one_uid_is_connected_once(signal: Signal, heard: list[Any]) -> None:
    for each in (1, 2):
        signal.connect(lambda each=each, **_: heard.append(each), weak=False, dispatch_uid="the one")
    signal.send(None)
    assert heard == [1]
    assert signal.disconnect(dispatch_uid="the one") and not signal.receivers


def test_disconnect_takes_back_what_connect_was_told(signal: Signal, heard: list[Any]) -> None:
    def receive(**_: Any) -> None:
        heard.append(1)

    signal.connect(receive, sender="me")
    assert not signal.disconnect(receive)
    assert signal.disconnect(receive, sender="me")
    signal.send("me")
    assert heard == []


def test_a_receiver_that_does_not_take_any_keyword_is_refused(signal: Signal) -> None:
    with pytest.raises(ValueError, match=r"add \*\*kwargs"):
        signal.connect(lambda sender: None)


def test_a_receiver_with_retry_is_called_until_it_succeeds(
    signal: Signal, heard: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", heard.append)

    @signal.connect(retry=True)
    def receive(**_: Any) -> str:
        if len(heard) < 2:
            raise ConnectionError
        return "connected"

    assert signal.send(None) == [(receive, "connected")]
    assert heard == [2.0, 4.0]


def test_a_group_is_heard_as_long_as_somebody_is_connected_to_one_of_its_signals() -> None:
    class Watcher:
        def changed(self) -> None:
            changes.append(group.heard)

    group, watcher = Group(), Watcher()
    changes: list[bool] = []
    first, second = Signal("first", group=group), Signal("second", group=group)
    group.watch(watcher.changed)
    group.watch(Watcher().changed)  # Nobody else knows this one.
    assert not group.heard

    def receive(**_: Any) -> None: ...

    for signal in (first, second):
        signal.connect(receive)
    first.disconnect(receive)
    assert group.heard
    second.disconnect(receive)
    assert not group.heard and changes == [True, False]


def test_what_happens_once_is_heard_by_those_who_come_late(heard: list[Any]) -> None:
    # With Celery, a receiver that is connected after the configuration was read never hears of it.
    signal = OnceSignal("on_after_configure")
    signal.connect(lambda sender, **_: heard.append(("early", sender)), weak=False)
    signal.send("app")
    signal.send("app")

    @signal.connect
    def receive(sender: Any, **_: Any) -> None:
        heard.append(("late", sender))

    assert heard == [("early", "app"), ("late", "app")]
