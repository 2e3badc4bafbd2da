"""Exchanges and bindings: where calls with an address go, and what other coordinators hear of it."""

from __future__ import annotations

from typing import Any

import pytest

from actorq.stores.memory import Shelf
from actorq.wire import messages as m
from actorq.wire.declarations import Declaration
from actorq.wire.records import Call, CallSpec, Node, Plan
from tests.unit.coordinator.support import Bench, ClientParty, CoordinatorParty


def addressed(exchange: str = "", key: str = "", **headers: Any) -> CallSpec:
    """A spec with an address, and no queue."""
    return CallSpec("add", queue="", exchange=exchange, routing_key=key, routing_headers=tuple(headers.items()))


def exchange(name: str, kind: str) -> list[Any]:
    return ["exchange", [name], {"type": kind}]


def binding(name: str, queue: str, key: str = "", **headers: Any) -> list[Any]:
    return ["binding", [name, queue, key], {"headers": headers}]


def declare(client: ClientParty, *items: list[Any], **options: Any) -> Any:
    return client.order("declare", items=list(items), **options)


def refusals(client: ClientParty) -> dict[str, str]:
    return {task_id: why for message in client.take(m.Refused) for task_id, why in message.calls}


def sizes(client: ClientParty) -> dict[str, int]:
    return {name: size for name, size in client.order("queues").items() if size}


@pytest.fixture
def client(bench: Bench) -> ClientParty:
    return bench.client()


def test_a_direct_exchange_leads_by_the_key_itself(client: ClientParty) -> None:
    declare(client, exchange("jobs", "direct"), binding("jobs", "fast", "now"), binding("jobs", "slow", "later"))
    client.submit("a", spec=addressed("jobs", "later"))
    assert sizes(client) == {"slow": 1}


def test_a_topic_exchange_leads_to_each_queue_whose_pattern_takes_the_key(bench: Bench, client: ClientParty) -> None:
    declare(client, exchange("logs", "topic"), binding("logs", "all", "#"), binding("logs", "errors", "*.error"),
            binding("logs", "web", "web.*"))  # fmt: skip
    client.submit("a", spec=addressed("logs", "db.error"))
    assert sizes(client) == {"all": 1, "errors": 1}
    # The first keeps the id, and the copy belongs to it.
    worker = bench.worker(queues=["errors"])
    [copy] = worker.delivered()
    assert bench.state_of("a") == "open" and copy != "a"
    extra = worker.calls[copy].extra
    assert extra is not None and extra.root == "a"


def test_a_call_that_matches_one_queue_twice_goes_there_once(client: ClientParty) -> None:
    declare(client, exchange("logs", "topic"), binding("logs", "all", "#"), binding("logs", "all", "*.error"))
    client.submit("a", spec=addressed("logs", "db.error"))
    assert sizes(client) == {"all": 1}


def test_a_fanout_exchange_leads_to_all_its_queues(client: ClientParty) -> None:
    declare(client, exchange("news", "fanout"), binding("news", "x"), binding("news", "y", "whatever"))
    client.submit("a", "b", spec=addressed("news"))
    assert sizes(client) == {"x": 2, "y": 2}


def test_a_headers_exchange_looks_at_all_or_any(client: ClientParty) -> None:
    both = {"x-match": "all", "format": "pdf", "kind": "report"}
    either = {"x-match": "any", "format": "pdf", "kind": "log"}
    declare(client, exchange("files", "headers"), ["binding", ["files", "both", ""], {"headers": both}],
            ["binding", ["files", "either", ""], {"headers": either}])  # fmt: skip
    client.submit("a", spec=addressed("files", format="pdf", kind="report"))
    client.submit("b", spec=addressed("files", format="zip", kind="log"))
    assert sizes(client) == {"both": 1, "either": 2}


def test_the_default_exchange_leads_to_the_queue_that_the_key_names(client: ClientParty) -> None:
    client.submit("a", spec=addressed("", "anything"))
    client.submit("b", spec=addressed())
    assert sizes(client) == {"anything": 1, "default": 1}


def test_a_call_that_leads_nowhere_is_refused_with_the_reason_and_the_rest_is_taken(client: ClientParty) -> None:
    declare(client, exchange("logs", "topic"), binding("logs", "errors", "*.error"))
    known = client.submission("a", spec=addressed("logs", "db.info"))
    known.calls += client.submission("b", spec=CallSpec("add")).calls
    known.specs.append((2, CallSpec("add")))
    client.say(known)
    client.submit("c", spec=addressed("lugs", "db.error"))
    why = refusals(client)
    assert sorted(why) == ["a", "c"]
    assert "'logs' leads to no queue by the routing key 'db.info'" in why["a"]
    assert "there is no exchange 'lugs'" in why["c"] and "'logs'" in why["c"]
    assert sizes(client) == {"default": 1}


def test_a_call_that_comes_again_makes_no_further_copies(bench: Bench, client: ClientParty) -> None:
    declare(client, exchange("news", "fanout"), binding("news", "x"), binding("news", "y"))
    client.submit("a", spec=addressed("news"))
    bench.lose(client)
    again = bench.client()
    again.submit("a", spec=addressed("news"), fresh=False, resent=True)
    assert sizes(again) == {"x": 1, "y": 1}


def test_what_was_unbound_meanwhile_keeps_what_was_taken(bench: Bench, client: ClientParty) -> None:
    declare(client, exchange("news", "fanout"), binding("news", "x"))
    client.submit("a", spec=addressed("news"))
    declare(client, ["binding", ["news", "x", ""], None])
    client.submit("a", "b", spec=addressed("news"), fresh=False, resent=True)
    assert list(refusals(client)) == ["b"]
    assert bench.state_of("a") == "open" and sizes(client) == {"x": 1}


def test_a_broadcast_exchange_leads_to_each_worker_that_consumes_its_queue_now(bench: Bench) -> None:
    client = bench.client()
    declare(client, exchange("reload", "broadcast"))
    client.submit("a", spec=addressed("reload"))
    assert "no worker consumes 'reload' now" in refusals(client)["a"]
    workers = [bench.worker(name, queues=["reload", "default"]) for name in ("x", "y")]
    idle = bench.worker("z", queues=["default"])
    client.submit("b", spec=addressed("reload"))
    assert [len(worker.delivered()) for worker in workers] == [1, 1] and not idle.delivered()


def test_a_worker_declares_what_its_application_knows_but_brings_back_nothing(bench: Bench) -> None:
    client = bench.client()
    declare(client, exchange("news", "fanout"), ["binding", ["news", "gone", ""], None])
    worker = bench.stranger()
    declares = [Declaration(*binding("news", "gone")), Declaration(*binding("news", "new"))]
    versions = (m.OLDEST_VERSION, m.PROTOCOL_VERSION)
    worker.say(m.WorkerHello(versions, "1", "w", "w-1", ["new"], ["other"], 1, 1, declares=declares))
    client.submit("a", spec=addressed("news"))
    assert sizes(client) == {"new": 1}


@pytest.mark.parametrize("items", [
    None, "x", [["binding", ["a"], {}]], [["exchange", ["a"], {"type": "topik"}]], [["queue", [""], {}]],
    [["nonsense", ["a"], {}]], [["pause", ["a"], {"paused": [1]}]],
], ids=repr)  # fmt: skip
def test_what_makes_no_sense_is_not_declared(client: ClientParty, items: Any) -> None:
    assert "error" in client.order("declare", items=items)
    assert client.order("topology") == []


def test_of_what_is_declared_there_is_a_limit_and_what_is_gone_makes_room() -> None:
    bench = Bench(declaration_limit=2)
    client = bench.client()
    declare(client, exchange("a", "topic"))
    declare(client, ["exchange", ["a"], None])
    declare(client, exchange("b", "topic"), exchange("c", "topic"))
    assert [each[1] for each in client.order("topology")] == [["b"], ["c"]]
    assert "limit" in declare(client, exchange("d", "topic"))["error"]
    assert client.order("coordinator")["limits"]["declarations"] == {"now": 2, "limit": 2, "hits": 1}


def test_what_is_declared_outlives_the_coordinator() -> None:
    bench = Bench(shelf=Shelf())
    declare(bench.client(), exchange("news", "fanout"), binding("news", "x"), ["pause", ["x"], {"paused": True}])
    bench.start()
    client = bench.client()
    client.submit("a", spec=addressed("news"))
    assert sizes(client) == {"x": 1} and client.order("queue_details")["x"]["paused"]


# -- several coordinators ------------------------------------------------------------------------------------------


def test_what_is_declared_goes_to_all_and_to_those_that_come_later(bench: Bench, other: CoordinatorParty) -> None:
    client = bench.client()
    declare(client, exchange("news", "fanout"))
    order = other.link.take(m.Control)[-1]
    late = bench.coordinator("yan")
    [told] = late.link.take(m.Control)
    assert order.command == told.command == "declare"
    # All say the same, also of when it was said.
    [declared] = bench.core.state.topology.all()
    assert told.arguments["items"] == [["exchange", ["news"], {"type": "fanout"}, declared.at_s]]
    assert order.arguments["at_s"] == declared.at_s


def test_the_later_of_two_declarations_counts_whichever_comes_first(bench: Bench, other: CoordinatorParty) -> None:
    early = ["pause", ["x"], {"paused": True}, 10.0]
    later = ["pause", ["x"], {"paused": False}, 20.0]
    other.say(
        m.Control(1, "declare", {"items": [later]}, [], 1.0), m.Control(2, "declare", {"items": [early]}, [], 1.0)
    )
    [declared] = bench.core.state.topology.all()
    assert declared.value == {"paused": False}


def test_an_order_counts_although_the_clock_of_this_coordinator_is_behind(
    bench: Bench, other: CoordinatorParty
) -> None:
    ahead = bench.wall_s + 1000.0
    other.say(m.Control(1, "declare", {"items": [["pause", ["x"], {"paused": True}, ahead]]}, [], 1.0))
    declare(bench.client(), ["pause", ["x"], {"paused": False}])
    assert not bench.core.state.lanes.paused


# -- workflows -----------------------------------------------------------------------------------------------------


def test_a_call_of_a_workflow_goes_to_the_first_queue_that_its_address_leads_to(client: ClientParty) -> None:
    declare(client, exchange("news", "fanout"), binding("news", "x"), binding("news", "y"))
    submission = client.submission(spec=addressed("news"))
    submission.plans = [Plan("p", [Node(Call("a", submission.specs[0][0], b""))])]
    client.say(submission)
    assert sizes(client) == {"x": 1}


def test_a_workflow_of_which_a_call_leads_nowhere_is_refused_whole(client: ClientParty) -> None:
    submission = client.submission(spec=addressed("nowhere"))
    number = submission.specs[0][0]
    submission.plans = [Plan("p", [Node(Call("a", number, b"")), Node(Call("b", number, b""))])]
    client.say(submission)
    assert sorted(refusals(client)) == ["a", "b"] and not sizes(client)
