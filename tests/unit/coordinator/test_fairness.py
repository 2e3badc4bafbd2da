"""Calls with a `fair_key` take turns: one tenant's many calls do not keep another one waiting."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from actorq.wire import messages as m
from actorq.wire.records import CallSpec, Extra
from tests.unit.coordinator.support import SPEC, Bench, ClientParty, WorkerParty


def submit(client: ClientParty, *ids: str, spec: CallSpec = SPEC) -> None:
    """The first letter of an id is its tenant."""
    for task_id in ids:
        client.submit(task_id, spec=spec, extra=Extra(fair_key=task_id[0]))


def order_of(worker: WorkerParty, *, rounds: int = 50) -> str:
    """The tenants in the order in which a worker with one slot serves them."""
    order = ""
    for _ in range(rounds):
        ids = worker.delivered()
        if not ids:
            break
        order += "".join(task_id[0] for task_id in ids)
        worker.report(*ids)
    return order


def test_tenants_take_turns_whoever_came_first(bench: Bench) -> None:
    client = bench.client()
    submit(client, *(f"a{number}" for number in range(5)), "b1", "b2", "c1")
    assert order_of(bench.worker()) == "abcabaaa"


def test_a_tenant_that_comes_late_is_served_after_the_others_have_had_one_turn(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    submit(client, *(f"a{number}" for number in range(50)))
    assert worker.delivered() == ["a0"]
    submit(client, "b1")
    worker.report("a0")
    assert order_of(worker, rounds=2) in ("ab", "ba")


def test_within_a_tenant_it_is_first_come_first_served(bench: Bench) -> None:
    client = bench.client()
    submit(client, "a1", "b1", "a2", "b2", "a3")
    assert bench.worker(slots=9).delivered() == ["a1", "b1", "a2", "b2", "a3"]


def test_the_tasks_of_a_tenant_are_one_turn(bench: Bench) -> None:
    client = bench.client()
    submit(client, "a1", "a2", "a3", "a4", spec=CallSpec("add"))
    submit(client, "a5", "a6", "b1", "b2", "b3", spec=CallSpec("sub"))
    worker = bench.worker(offers=["add", "sub"])
    assert order_of(worker)[:6].count("b") == 3


def test_calls_without_a_key_are_one_tenant(bench: Bench) -> None:
    client = bench.client()
    submit(client, *(f"a{number}" for number in range(4)))
    client.submit("x1", "x2", "x3", "x4")
    assert order_of(bench.worker())[:4].count("x") == 2


def test_an_urgent_call_goes_before_all_turns(bench: Bench) -> None:
    client = bench.client()
    submit(client, "a1", "b1")
    submit(client, "c1", "c2", spec=CallSpec("add", priority=9))
    assert order_of(bench.worker())[:2] == "cc"


def test_what_is_given_back_goes_first_of_its_tenant(bench: Bench) -> None:
    client = bench.client()
    submit(client, "a1", "a2", "a3", "b1")
    worker = bench.worker(slots=3, capacity=3)
    assert worker.delivered() == ["a1", "b1", "a2"]
    worker.give_back("a1", "a2")
    worker.say(m.Capacity(3, 3))
    assert worker.delivered() == ["a1", "a2"]


def test_a_tenant_can_be_revoked_out_of_its_turn(bench: Bench) -> None:
    client = bench.client()
    submit(client, "a1", "b1", "a2", "b2")
    client.order("revoke", ids=["a1", "b2"])
    assert sorted(bench.worker(slots=9).delivered()) == ["a2", "b1"]


def test_tenants_take_turns_at_a_limit(bench: Bench) -> None:
    client = bench.client()
    submit(client, "a1", "a2", "a3", "b1", spec=CallSpec("add", max_concurrency=1))
    assert order_of(bench.worker(slots=9)) == "abaa"


def test_a_turn_in_another_line_counts_from_when_it_was_had(bench: Bench) -> None:
    """A tenant with calls of two tasks is not put behind those that had their turn after it."""
    client = bench.client()
    lines = {"add": "c0 a2 a3 a4 b5 c6 c7 b9 a12 c13 a16", "sub": "a8 c10 b11 b14"}
    for task_id in sorted(" ".join(lines.values()).split(), key=lambda task_id: int(task_id[1:])):
        submit(client, task_id, spec=CallSpec("sub" if task_id in lines["sub"] else "add"))
    assert order_of(bench.worker(offers=["add", "sub"])) == "cabcabcabcabcaa"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("aaaabbc"), min_size=1, max_size=30), st.data())
def test_no_tenant_is_served_twice_while_another_one_waits(tenants: list[str], data: st.DataObject) -> None:
    """With calls of two tasks that are taken back, revoked and served one at a time."""
    bench = Bench()
    client = bench.client()
    waiting = {}
    for number, tenant in enumerate(tenants):
        submit(client, f"{tenant}{number}", spec=CallSpec(data.draw(st.sampled_from(["add", "sub"]))))
        waiting[f"{tenant}{number}"] = tenant
    revoked = data.draw(st.sets(st.sampled_from(sorted(waiting))))
    client.order("revoke", ids=sorted(revoked))
    for task_id in revoked:
        del waiting[task_id]
    worker = bench.worker(offers=["add", "sub"])
    served: list[str] = []
    since: dict[str, int] = dict.fromkeys(waiting.values(), 0)
    while waiting:
        (task_id,) = worker.delivered()
        tenant = waiting.pop(task_id)
        served.append(tenant)
        since = {each: count + 1 for each, count in since.items() if each in waiting.values()}
        since[tenant] = 0
        assert max(since.values()) <= len(since) + 1
        worker.report(task_id)
