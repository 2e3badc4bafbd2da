"""The table of roles: what each may send, and that all else is denied."""

from __future__ import annotations

from typing import Any

import pytest

from actorq.keys import CODE, CONTROL, Role, why_denied
from actorq.keys.rights import QUESTIONS, RIGHTS, Grant, brings_code, grant
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.records import CallSpec

NODE = grant("node", Role.NODE)
PLAIN = grant("plain", Role.CLIENT)
FULL = grant("full", Role.CLIENT, RIGHTS)
OBSERVER = grant("observer", Role.OBSERVER, RIGHTS)
ALL = Message.__subclasses__()


def blank(kind: type[Message]) -> Any:
    return kind(*[None] * len(kind.__struct_fields__))


def may_send(granted: Grant) -> set[type[Message]]:
    return {kind for kind in ALL if kind is not m.Control and not why_denied(granted, blank(kind))}


def control(command: str) -> m.Control:
    return m.Control(1, command, {}, [], 1.0)


def test_a_node_may_send_everything() -> None:
    assert may_send(NODE) == set(ALL) - {m.Control}
    assert not why_denied(NODE, control("shutdown"))


def test_a_client_may_send_what_clients_send_and_nothing_of_a_workers() -> None:
    assert may_send(PLAIN) == {m.Discover, m.ClientHello, m.Submit, m.Query, m.Ping}
    assert may_send(FULL) == {m.Discover, m.ClientHello, m.Submit, m.Query, m.Ping, m.Code}


def test_what_a_client_has_to_say_it_may() -> None:
    # A message that is added for clients has to be added to the table of roles, or to be kept from some.
    assert may_send(FULL) | {m.Control} == set(frames.FROM_CLIENT.values())


def test_an_observer_may_ask_and_has_no_further_rights() -> None:
    assert may_send(OBSERVER) == {m.Discover, m.ClientHello, m.Query, m.Ping}
    assert not OBSERVER.may(CONTROL) and not OBSERVER.may(CODE)


@pytest.mark.parametrize("granted", [PLAIN, OBSERVER, FULL, NODE], ids=lambda granted: granted.name)
def test_everybody_may_put_questions_to_nodes(granted: Grant) -> None:
    assert not [command for command in QUESTIONS if why_denied(granted, control(command))]


@pytest.mark.parametrize("command", ["shutdown", "revoke", "of a later release", "PING", ""])
def test_orders_need_the_right_to_control(command: str) -> None:
    assert "that needs the right control" in why_denied(PLAIN, control(command))
    assert "the key observer (role observer) may not" in why_denied(OBSERVER, control(command))
    assert not why_denied(FULL, control(command))


@pytest.mark.parametrize(
    "options",
    [
        {"code": "digest"},
        {"serializer": "pickle"},
        {"serializer": "cloudpickle"},
        {"serializer": "yaml"},
        {"serializer": "own"},
        {"serializer": "application/json"},
        {"serializer": "json+own"},
        {"compression": "own"},
        {"serializer": "json", "compression": "application/gzip"},
    ],
)
def test_calls_that_a_coordinator_cannot_vouch_for_bring_code(options: dict[str, Any]) -> None:
    assert brings_code(CallSpec("t", **options))


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
@pytest.mark.parametrize("compression", ["", "gzip", "zlib", "bzip2", "lzma", "zstd"])
def test_plain_formats_in_every_compression_that_is_built_in_bring_none(serializer: str, compression: str) -> None:
    assert not brings_code(CallSpec("t", serializer=serializer, compression=compression))


def test_a_denial_names_the_key_what_it_may_not_and_what_that_needs() -> None:
    assert "the key plain (role client, with neither control nor by-value) may not send WorkerHello" in why_denied(
        PLAIN, blank(m.WorkerHello)
    )
    assert "that needs role node" in why_denied(FULL, blank(m.Finished))
    assert "that needs role client" in why_denied(OBSERVER, blank(m.Submit))
    assert "that needs the right by-value" in why_denied(PLAIN, blank(m.Code))


def test_a_denial_says_how_a_key_that_is_there_gets_the_right() -> None:
    assert "'actorq key grant plain --control'" in why_denied(PLAIN, control("shutdown"))
    assert "'actorq key grant plain --by-value'" in why_denied(PLAIN, blank(m.Code))
    for denial in (why_denied(OBSERVER, control("shutdown")), why_denied(OBSERVER, blank(m.Submit))):
        assert "key grant" not in denial and "'actorq key client --help'" in denial
