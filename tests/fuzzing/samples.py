"""A valid message of each kind, to begin with."""

from __future__ import annotations

from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.records import (
    CAUSE,
    FAILURE,
    SUCCESS,
    VALUES,
    Blob,
    Call,
    CallSpec,
    Extra,
    Inputs,
    Member,
    Node,
    Note,
    Outcome,
    Part,
    Plan,
)

TEXTS = ("a", "b", "nonce", "session", "epoch", "add", "default", "d1gest", "worker")
VALUE = {"ids": ["a"], "list": ["ü", 1, -2.5, None, True], "map": {"a": {"b": b"bytes"}}}


def calls() -> list[Call]:
    return [Call("a", 1, b"body", 1.5, 2e9, 1, 1), Call("b", 2, Blob(b"blob"), attempt=1), Call("ü", 2, b"", lost=1)]


def outcomes() -> list[Outcome]:
    return [Outcome("a", 1, SUCCESS, b""), Outcome("b", 2, FAILURE, Blob(b"blob"), "json")]


def plan() -> Plan:
    chord = [
        Node(Call("c", 1, b"", extra=EXTRA), then=[(2, 0)], catch=[3]),
        Node(Call("d", 2, Blob(b"d")), then=[(2, 1)]),
    ]
    return Plan("plan", [*chord, Node(Call("e", 1, b""), VALUES, 2), Node(Call("f", 1, b""), CAUSE, 1, replies=False)])


def taker() -> Call:
    return Call("e", 1, b"", inputs=Inputs(VALUES, [Part("c", SUCCESS, b""), Part("d", SUCCESS, Blob(b"d"))]))


EXTRA = Extra("plan", "a", "group", 1, 2, b"\x80")
SPECS = [(1, CallSpec("add")), (2, CallSpec("fn", "fast", 9, code="d1gest"))]
MEMBER = Member("tcp://127.0.0.1:2", "epoch", "coordinator")
MESSAGES: list[Message] = [
    m.ClientHello((1, 1), "nonce", "client", "session", "tcp://127.0.0.1:1"),
    m.WorkerHello((1, 1), "nonce", "worker", "epoch", ["default"], ["add"], 4, 8, "c", [("a", 1)], 7),
    m.ControlHello((1, 1), "nonce", "worker", "epoch"),
    m.Welcome(1, "nonce", "coordinator", "epoch", 10, True, 1000, 4),
    m.Rejected("no"),
    m.Reset(),
    m.Submit(1, SPECS, calls(), False, True, [plan()]),
    m.Code("d1gest", b"code"),
    m.Query(1, ["a", "b"], True),
    m.Control(1, "ping", VALUE, ["worker"], 1.0),
    m.Ping(),
    m.Accepted(1, 4),
    m.Refused([("a", "why")]),
    m.Settled(outcomes()),
    m.Report(1, [("a", "PENDING")]),
    m.Pressure("full"),
    m.Replies(1, VALUE, ["worker"]),
    m.Define(SPECS, [(1, "session", "tcp://127.0.0.1:1")]),
    m.Deliver(1, [*calls(), taker()]),
    m.Begin(["a"]),
    m.Revoke(["a"], True, True),
    m.Acked(1),
    m.Renewed(1.5),
    m.Command(1, "ping", VALUE),
    m.Capacity(4, 2),
    m.Consume(["default", "fast"]),
    m.Finished(1, outcomes(), True),
    m.Returned([("a", 1)]),
    m.Starting([("a", 1)]),
    m.Heartbeat(1.5, 0.1, [("a", 1)], 10),
    m.Reply(1, VALUE),
    m.Bye("done"),
    m.Results("session", outcomes()),
    m.Discover("nonce"),
    m.View("nonce", MEMBER, [MEMBER], True),
    m.PeerHello((1, 1), "nonce", MEMBER),
    m.HandOver(1, [(1, "session", "client", "tcp://127.0.0.1:1")], SPECS, calls()),
    m.HandOverOutcomes(1, outcomes()),
    m.Unwatch(["a"]),
    m.Duplicates([("a", "b")]),
    m.Noted([Note("a", 1, "PROGRESS", b"\xc0")]),
    m.Told("session", [Note("a", 1, "RETRY", b"\xc0")]),
]
"""Of each kind one, as a test checks."""
