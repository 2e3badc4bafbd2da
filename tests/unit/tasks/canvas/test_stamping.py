"""Stamps: what all calls of a canvas carry, and how calls are ended by them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from actorq import ActorQ, chain, chord, group
from actorq.canvas import StampingVisitor
from actorq.errors import ImproperlyConfigured
from actorq.testing import Mesh, mesh


@pytest.fixture
def app() -> ActorQ:
    app = ActorQ("tasks", url="tcp://127.0.0.1:1")

    @app.task(name="stamps", bind=True)
    def stamps(self: Any, *before: Any, retry: bool = False) -> list[Any]:
        if retry and not self.request.retries:
            raise self.retry(countdown=0)
        return [*(before[0] if before else []), self.request.stamps]

    @app.task(name="replaced", bind=True)
    def replaced(self: Any) -> None:
        raise self.replace(chain(ready, ready))

    ready = stamps.si()
    ready.stamp(own=1)

    @app.task(name="flat")
    def flat(values: Any) -> Any:
        return values

    return app


@pytest.fixture
def running(app: ActorQ) -> Iterator[Mesh]:
    with mesh(app) as running:
        yield running


def test_a_stamped_call_carries_its_stamps_also_when_it_is_retried(app: ActorQ, running: Mesh) -> None:
    for sig in (app.tasks["stamps"].s(), app.tasks["stamps"].s(retry=True)):
        sig.stamp(customer="acme", flags={"slow"})
        assert sig.options["stamped_headers"] == ["customer", "flags"]
        assert sig.delay().get() == [{"customer": ["acme"], "flags": ["slow"]}]


def test_stamps_reach_all_of_a_canvas_and_what_is_linked(app: ActorQ, running: Mesh) -> None:
    stamps, flat = app.tasks["stamps"], app.tasks["flat"]
    linked = stamps.s()
    first = stamps.s()
    first.link(linked)
    flow = chain(first, group(stamps.s(), stamps.s()), flat.s())
    flow.stamp(job=7)
    one = {"job": [7]}
    assert flow.delay().get() == [[one, one], [one, one]]
    assert linked.options["job"] == 7
    body = stamps.si()
    chord([stamps.s()], body).stamp(job=7)
    assert body.delay().get() == [one]


def test_what_a_task_goes_on_as_has_its_stamps_too(app: ActorQ, running: Mesh) -> None:
    for job in (1, 2):
        sig = app.tasks["replaced"].s()
        sig.stamp(job=job)
        assert sig.delay().get() == [{"own": [1], "job": [job]}]


def test_what_is_stamped_last_counts_or_is_added(app: ActorQ) -> None:
    sig = app.tasks["stamps"].s()
    sig.stamp(job=1)
    sig.stamp(job=2)
    assert sig.options["job"] == 2
    sig.stamp(job=3, append_stamps=True)
    assert sig.options["job"] == [3, 2]


def test_a_stamp_is_not_to_be_mistaken_for_an_option(app: ActorQ) -> None:
    with pytest.raises(ImproperlyConfigured, match="queue"):
        app.tasks["stamps"].s().stamp(queue="fast")


class Visitor(StampingVisitor):
    """Notes where it was, and stamps each part with that."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def _note(self, what: str) -> dict[str, Any]:
        self.log.append(what)
        return {what: True}

    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        self.log.append(f"{sig.task} {sorted(headers)}")
        return {"each": sig.task, "hidden": 1, "stamped_headers": ["each"]}

    def on_group_start(self, sig: Any, **headers: Any) -> dict[str, Any]:
        return self._note("group")

    def on_group_end(self, sig: Any, **headers: Any) -> None:
        self.log.append("end of group")

    def on_chain_start(self, sig: Any, **headers: Any) -> dict[str, Any]:
        return self._note("chain")

    def on_chain_end(self, sig: Any, **headers: Any) -> None:
        self.log.append("end of chain")

    def on_chord_body(self, sig: Any, **headers: Any) -> dict[str, Any]:
        return self._note("body")

    def on_callback(self, callback: Any, **headers: Any) -> dict[str, Any]:
        return self._note("callback")

    def on_errback(self, errback: Any, **headers: Any) -> dict[str, Any]:
        return self._note("errback")


def test_a_visitor_comes_to_each_part(app: ActorQ, running: Mesh) -> None:
    stamps, flat = app.tasks["stamps"], app.tasks["flat"]
    visitor = Visitor()
    chain(stamps.s(), group(stamps.s(), stamps.s()), flat.s().on_error(flat.si(0))).stamp(visitor, given=1)
    assert visitor.log == [
        "chain",
        "stamps ['chain', 'given']",
        "group",
        "stamps ['chain', 'given', 'group']",
        "stamps ['chain', 'given', 'group']",
        "end of group",
        "body",
        "errback",
        "flat ['body', 'chain', 'errback', 'given']",
        "flat ['body', 'chain', 'given']",
        "end of chain",
    ]
    single = stamps.s()
    single.link(flat.s())
    single.stamp(Visitor())
    assert single.delay().get() == [{"each": ["stamps"]}]


def test_calls_are_ended_by_their_stamps(app: ActorQ, running: Mesh) -> None:
    def waiting(**stamps: Any) -> Any:
        sig = app.tasks["stamps"].s().set(countdown=60)
        sig.stamp(**stamps)
        return sig.delay()

    acme, other, both = waiting(customer="acme"), waiting(customer="other"), waiting(customer=["x", "acme"])
    plain = app.tasks["stamps"].apply_async(countdown=60, headers={"stamps": "customer"})
    app.session.flush(10)
    became = app.control.revoke_by_stamped_headers({"customer": ["acme", "nobody"]})
    assert became == {acme.id: "removed", both.id: "removed"}
    assert [each.state for each in (acme, both, other, plain)] == ["REVOKED", "REVOKED", "PENDING", "PENDING"]
    assert other.revoke_by_stamped_headers({"customer": "other"}) == {other.id: "removed"}
    assert app.control.revoke_by_stamped_headers({}) == {}
