"""The coordinator's shell, with a link that only notes what is sent."""

from __future__ import annotations

from typing import Any

import pytest

from actorq.config import MAX_BODY_BYTES, CoordinatorSettings
from actorq.coordinator.core import Coordinator, Effects
from actorq.coordinator.shell import CoordinatorActor
from actorq.errors import MessageTooLarge
from actorq.wire import frames
from actorq.wire import messages as m

VERSIONS = (m.OLDEST_VERSION, m.PROTOCOL_VERSION)


class NotingLink:
    """Refuses what a real one refuses, and lets what is urgent overtake the rest."""

    def __init__(self) -> None:
        self.urgent: list[m.Message] = []
        self.bulk: list[m.Message] = []

    @property
    def sent(self) -> list[m.Message]:
        return self.urgent + self.bulk

    def send(self, peer: int, parts: list[Any], urgent: bool = False) -> None:
        for part in parts:
            if len(part) > MAX_BODY_BYTES:
                raise MessageTooLarge("a frame", len(part), MAX_BODY_BYTES)
        (self.urgent if urgent else self.bulk).append(frames.unpack(parts, {**frames.TO_CLIENT, **frames.TO_CONTROL}))


def test_nothing_comes_before_the_welcome_of_a_node_that_was_asked_something_before_it_came() -> None:
    core = Coordinator("name", "epoch", CoordinatorSettings(), 0.0, 0.0)
    actor = CoordinatorActor(core)
    core.receive(1, m.WorkerHello(VERSIONS, "1", "worker", "worker-1", ["default"], [], 1, 1))
    core.receive(2, m.ClientHello(VERSIONS, "1", "client", "session", ""))
    core.receive(2, m.Control(1, "ping", {}, [], 1.0))
    core.finish()
    actor.transport = link = NotingLink()  # type: ignore[assignment]
    core.receive(3, m.ControlHello(VERSIONS, "1", "worker", "worker-1"))
    actor._carry_out(core.finish())
    assert [type(each) for each in link.sent] == [m.Welcome, m.Command]


def test_what_has_changed_in_the_mesh_stands_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    actor = CoordinatorActor(Coordinator("name", "epoch", CoordinatorSettings(), 0.0, 0.0))
    with caplog.at_level("INFO", "actorq.coordinator"):
        actor._carry_out(Effects(news=["coordinator zoe has joined the mesh"]))
    assert caplog.messages == ["coordinator zoe has joined the mesh"]


def test_replies_that_are_too_large_are_answered_with_the_reason() -> None:
    actor = CoordinatorActor(Coordinator("name", "epoch", CoordinatorSettings(), 0.0, 0.0))
    actor.transport = link = NotingLink()  # type: ignore[assignment]
    effects = Effects()
    effects.sends[1] += [m.Replies(7, {"one": bytes(MAX_BODY_BYTES), "two": 2}, ["three"]), m.Pressure("full")]
    actor._carry_out(effects)
    replies, other = link.sent
    assert isinstance(replies, m.Replies)
    assert replies.token == 7 and "the limit is" in replies.replies["name"]["error"]
    assert other == m.Pressure("full")
