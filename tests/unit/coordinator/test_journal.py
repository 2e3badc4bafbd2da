"""Durable coordinators: what is kept before it is said, and what a new one makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorq.coordinator.core import Coordinator, machine
from actorq.stores.api import ForgetCodes
from actorq.stores.memory import Shelf
from actorq.wire import messages as m
from actorq.wire.records import FAILURE, CallSpec
from tests.unit.coordinator.support import VERSIONS, Bench, ClientParty

ONCE = CallSpec("add", acks_late=False)


@pytest.fixture
def bench(kept: Bench) -> Bench:
    """One with a store."""
    return kept


def restart(bench: Bench) -> None:
    """Another incarnation of the coordinator, with what the store has. Its grace is over."""
    bench.start()
    bench.wait(bench.settings.liveness.grace_s + 0.5)


def test_nothing_is_acknowledged_before_it_is_kept(bench: Bench) -> None:
    bench.is_slow = True
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    # Delivery does not wait for the disk
    assert worker.delivered() == ["a"]
    worker.report("a")
    bench.wait(1.0)
    assert client.take(m.Accepted) == [] and worker.take(m.Acked) == []
    bench.write()
    bench.wait(0.01)  # Acknowledgements are in no hurry.
    assert [message.seq for message in client.take(m.Accepted)] == [1]
    assert [message.seq for message in worker.take(m.Acked)] == [1]


def test_acknowledgements_stay_in_order_behind_those_that_wait_for_the_disk(bench: Bench) -> None:
    bench.is_slow = True
    client = bench.client()
    client.submit("a")
    # Given a submission that is not written yet, when the next one brings nothing to write
    client.submit("a", fresh=False)
    bench.wait(0.1)
    assert client.take(m.Accepted) == []
    bench.write()
    assert client.accepted() == 2


def test_a_call_whose_function_was_lost_with_a_part_of_the_journal_is_delivered_all_the_same(bench: Bench) -> None:
    spec = CallSpec("f", code="digest")
    assert bench.store is not None
    client = bench.client()
    client.say(m.Code("digest", b"function"))
    client.submit("a", spec=spec)
    bench.store.commit(bench.store.prepare([ForgetCodes(["digest"])]))
    restart(bench)
    # The worker has it fail, and says why
    worker, client = bench.worker(slots=2), bench.client()
    assert worker.delivered() == ["a"] and not worker.take(m.Code)
    # Somebody has brought it again
    client.say(m.Code("digest", b"function"))
    client.submit("b", spec=spec)
    assert worker.delivered() == ["b"] and worker.take(m.Code) == [m.Code("digest", b"function")]
    assert [len(define.specs) for define in worker.take(m.Define)][-1] == 1, "so that it is looked up again"


def test_an_outcome_of_the_coordinators_own_is_told_when_it_is_kept(bench: Bench) -> None:
    bench.is_slow = True
    client = bench.client()
    client.submit("a")
    client.order("revoke", ids=["a"])
    client.say(m.Query(5, ["a"]))
    assert client.outcomes() == {}, "a coordinator that dies now would run the call"
    bench.write()
    assert client.outcomes() == {"a": "REVOKED"}


def test_calls_that_were_accepted_outlive_the_coordinator(bench: Bench) -> None:
    client = bench.client()
    client.submit("a", "b", body=b"arguments")
    client.submit("c", spec=CallSpec("add", priority=9))
    restart(bench)
    worker = bench.worker(slots=3)
    assert worker.delivered() == ["c", "a", "b"]
    assert worker.calls["a"].body == b"arguments"


def test_what_was_not_written_is_gone(bench: Bench) -> None:
    bench.is_slow = True
    bench.client().submit("a")
    restart(bench)
    assert bench.state_of("a") == "unknown"


def test_outcomes_outlive_the_coordinator(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    worker.report("a", body=b"5")
    restart(bench)
    client = bench.client()
    client.say(m.Query(1, ["a"]))
    [settled] = client.take(m.Settled)
    assert [outcome.body for outcome in settled.outcomes] == [b"5"]
    client.submit("a", fresh=False, resent=True)
    assert bench.worker("another").delivered() == []


def start_anew_while_it_runs(bench: Bench, task_id: str, *others: str) -> tuple[int, str]:
    """A new coordinator, while a worker runs a call and others wait: its attempt, and the epoch of who has leased it."""
    client, worker = bench.client(), bench.worker()
    client.submit(task_id, *others)
    attempt, before = worker.attempt(task_id), bench.epoch
    bench.start()
    return attempt, before


def test_a_call_waits_one_grace_for_the_worker_that_runs_it(bench: Bench) -> None:
    attempt, before = start_anew_while_it_runs(bench, "a")
    free = bench.worker("free")
    busy = bench.worker("worker", epoch="worker-1", coordinator=before, held=[("a", attempt)])
    bench.wait(3.0)
    assert free.delivered() == []
    busy.report("a", attempt=attempt)
    assert bench.state_of("a") == "SUCCESS"


def test_a_call_is_left_to_the_worker_whose_hub_it_keeps_from_saying_hello(bench: Bench) -> None:
    # Given a call that keeps its worker's hub busy while the coordinator starts anew
    attempt, before = start_anew_while_it_runs(bench, "a", "b")
    free = bench.worker("free")
    # When only the worker's second connection says what it holds
    control = bench.busy_worker([("a", attempt), ("over", 1)], before)
    assert [each.ids for each in control.take(m.Revoke)] == []
    assert control.take(m.Welcome)
    for _ in range(20):
        bench.wait(0.5)
        control.say(m.Heartbeat(bench.now_s, 1.0, [("a", attempt)]))
    # Then nobody else gets the call, and the worker none
    assert free.delivered() == ["b"]
    # And its outcome is taken, from the second connection or the first
    busy = bench.worker("worker", epoch="worker-1", coordinator=before, held=[("a", attempt)])
    busy.report("a", attempt=attempt)
    assert bench.state_of("a") == "SUCCESS"
    # And from then on it is a worker like others
    bench.client("next").submit("c")
    assert busy.delivered() == ["c"]


def test_what_a_busy_worker_held_is_delivered_again_once_its_second_connection_is_lost_too(bench: Bench) -> None:
    attempt, before = start_anew_while_it_runs(bench, "a")
    control = bench.busy_worker([("a", attempt)], before)
    bench.lose(control)
    bench.wait(3.0)
    free = bench.worker("free")
    assert free.delivered() == ["a"] and free.attempt("a") == attempt + 1


def test_what_a_busy_worker_holds_and_another_one_has_by_now_it_is_told_to_forget(bench: Bench) -> None:
    attempt, before = start_anew_while_it_runs(bench, "a")
    bench.wait(3.0)
    assert bench.worker("free").delivered() == ["a"]
    control = bench.busy_worker([("a", attempt)], before)
    assert control.take(m.Revoke) == [m.Revoke(["a"], forget=True)]


def test_the_client_that_waits_for_a_call_is_told_by_the_new_coordinator(bench: Bench) -> None:
    bench.client("session").submit("a")
    restart(bench)
    worker = bench.worker()
    client = bench.client("session")
    worker.report("a", relay=True)
    assert client.outcomes() == {"a": "SUCCESS"}


def test_whoever_did_not_want_the_outcome_is_not_told_by_the_new_one(bench: Bench) -> None:
    bench.client("session").submit("a", spec=CallSpec("add", ignore_result=True))
    restart(bench)
    assert bench.worker().delivered() == ["a"]
    assert [call.client for call in bench.core.state.calls] == [0]


def test_times_outlive_the_coordinator(bench: Bench) -> None:
    client = bench.client()
    client.submit("scheduled", not_before=bench.wall_s + 10)
    client.submit("expiring", expires=bench.wall_s + 5)
    restart(bench)
    bench.wait(3.5)
    assert bench.state_of("expiring") == "REVOKED"
    worker = bench.worker()
    assert worker.delivered() == []
    for _ in range(6):
        worker.control.say(m.Heartbeat(bench.now_s, 0.0, []))
        bench.wait(1.0)
    assert worker.delivered() == ["scheduled"]


def test_functions_by_value_outlive_the_coordinator(bench: Bench) -> None:
    client = bench.client()
    client.say(m.Code("digest", b"the function"))
    client.submit("a", spec=CallSpec("f", code="digest"))
    restart(bench)
    worker = bench.worker()
    assert worker.delivered() == ["a"]
    assert worker.take(m.Code) == [m.Code("digest", b"the function")]


def test_a_call_whose_function_is_lost_goes_to_a_worker_which_says_so(bench: Bench) -> None:
    client = bench.client()
    client.say(m.Code("digest", b"the function"))
    client.submit("a", spec=CallSpec("f", code="digest"))
    # Given a journal that was damaged where the function was
    assert bench.shelf is not None
    bench.shelf.codes.clear()
    restart(bench)
    worker = bench.worker()
    assert worker.delivered() == ["a"] and worker.take(m.Code) == []
    # When somebody brings it again, then the next call has it
    client = bench.client()
    client.say(m.Code("digest", b"the function"))
    client.submit("b", spec=CallSpec("f", code="digest"))
    worker.report("a", state=FAILURE)
    assert worker.take(m.Code) == [m.Code("digest", b"the function")]
    assert worker.delivered() == ["b"]


def test_the_start_of_a_call_that_may_run_once_is_kept_before_it_begins(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", spec=ONCE)
    bench.is_slow = True
    assert worker.announce("a") == []
    bench.write()
    assert worker.begun() == ["a"]


def test_a_call_that_may_run_once_and_has_started_is_given_up_after_a_restart(bench: Bench) -> None:
    client, worker = bench.client("session"), bench.worker(slots=2)
    client.submit("started", "waiting", spec=ONCE)
    worker.announce("started")
    restart(bench)
    assert bench.state_of("started") == "FAILURE"
    assert bench.worker("another", slots=2).delivered() == ["waiting"]


def test_a_worker_that_had_it_before_the_one_that_started_it_does_not_start_it(bench: Bench) -> None:
    # Given a call that went from a worker out of touch to another one, which has started it
    first = bench.worker("first")
    bench.client("session").submit("a", spec=ONCE)
    early = first.attempt("a")
    first.die()
    second = bench.worker("second")
    assert second.announce("a") == ["a"]
    late = second.attempt("a")
    # When the coordinator starts again, and both come back
    before = bench.epoch
    bench.start()
    first = bench.worker("first", epoch=first.epoch, coordinator=before, held=[("a", early)])
    second = bench.worker("second", epoch=second.epoch, coordinator=before, held=[("a", late)])
    # Then it is the second one's
    assert first.begun() == [] and [each.ids for each in first.take(m.Revoke) if each.forget] == [["a"]]
    second.report("a", attempt=late)
    assert bench.state_of("a") == "SUCCESS"


def test_it_is_so_too_if_its_worker_had_it_from_an_earlier_coordinator(bench: Bench) -> None:
    # Given a call that a client and a worker bring to a new coordinator, in either order
    bench.client("session").submit("first", spec=ONCE, fresh=False, resent=True)
    bench.worker(coordinator="the one before", held=[("first", 1), ("second", 1)], slots=2)
    bench.client("session").submit("second", spec=ONCE, fresh=False, resent=True)
    # When it dies as well, and the worker with it
    restart(bench)
    assert bench.worker("another", slots=2).delivered() == []
    assert (bench.state_of("first"), bench.state_of("second")) == ("FAILURE", "FAILURE")


def test_a_call_that_a_worker_brought_before_its_client_is_kept_once_it_is_accepted(bench: Bench) -> None:
    bench.worker(coordinator="the one before", held=[("a", 1)])
    bench.client("session").submit("a", fresh=False, resent=True)
    restart(bench)
    assert bench.worker("another").delivered() == ["a"]


def test_a_call_that_was_revoked_and_not_written_down_as_ended_does_not_start(bench: Bench) -> None:
    # Given a coordinator that dies when it has written that a call is revoked, and not what became of it
    client = bench.client()
    client.submit("a")
    bench.is_slow = True
    client.order("revoke", ids=["a"])
    assert bench.store is not None
    for _, operations in bench._unwritten:
        kept = [each for each in operations if type(each).__name__ == "KeepRevocations"]
        bench.store.commit(bench.store.prepare(kept))
    restart(bench)
    assert bench.worker().delivered() == []
    assert bench.state_of("a") == "REVOKED"


def test_a_call_that_was_taken_out_of_its_line_when_it_was_written_is_not_lost(bench: Bench) -> None:
    # Given a store that copies a call late: it was revoked meanwhile, and the coordinator dies before that is written
    client = bench.client()
    bench.is_slow = True
    client.submit("a", "b", "c")
    client.order("revoke", ids=["a"])
    assert bench.store is not None
    bench.store.commit(bench.store.prepare(bench._unwritten[0][1]))
    restart(bench)
    assert bench.worker(slots=3).delivered() == ["a", "b", "c"]


# -- what is not kept --------------------------------------------------------------------------------------------


def test_a_success_that_nobody_wants_to_know_of_is_not_kept_and_a_failure_is(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=2)
    client.submit("good", "bad", spec=CallSpec("add", ignore_result=True))
    worker.report("good")
    worker.report("bad", state=FAILURE)
    restart(bench)
    assert (bench.state_of("good"), bench.state_of("bad")) == ("unknown", "FAILURE")


def test_that_a_call_which_may_run_once_has_run_is_kept_in_any_case(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", spec=CallSpec("add", ignore_result=True, acks_late=False))
    worker.announce("a")
    worker.report("a")
    restart(bench)
    assert bench.state_of("a") == "SUCCESS"


def test_what_has_settled_leaves_nothing_but_its_outcome(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=3)
    client.submit("a", "b", "c")
    worker.report("a", "b", "c")
    assert bench.shelf is not None
    assert (list(bench.shelf.calls), list(bench.shelf.outcomes)) == ([], ["a", "b", "c"])


def test_calls_of_transient_queues_stay_their_clients_own() -> None:
    bench = Bench(shelf=Shelf(), transient_queues=frozenset({"metrics"}))
    client, worker = bench.client(), bench.worker(slots=5, queues=["default", "metrics"])
    # Given calls of both kinds, of which some have settled
    client.submit("kept", "settled")
    client.submit("passing", "passed", spec=CallSpec("add", queue="metrics"))
    worker.report("settled", "passed")
    # When the coordinator starts again
    restart(bench)
    # Then it knows of those that it keeps
    states = {task_id: bench.state_of(task_id) for task_id in ("kept", "settled", "passing", "passed")}
    assert states == {"kept": "open", "settled": "SUCCESS", "passing": "unknown", "passed": "unknown"}


def test_clients_are_told_which_queues_are_transient() -> None:
    bench = Bench(shelf=Shelf(), transient_queues=frozenset({"metrics"}))
    [welcome] = bench.client().take(m.Welcome)
    assert welcome.durable and welcome.transient == ["metrics"]
    assert Bench(transient_queues=frozenset({"metrics"})).client().take(m.Welcome)[0].transient == []


def test_calls_of_transient_queues_are_accepted_without_the_disk() -> None:
    bench = Bench(shelf=Shelf(), transient_queues=frozenset({"metrics"}))
    bench.is_slow = True
    client = bench.client()
    client.submit("a", spec=CallSpec("add", queue="metrics"))
    assert client.accepted() == 1


# -- who waits, and what else is remembered ----------------------------------------------------------------------


def test_results_go_straight_to_a_client_that_has_not_come_back(bench: Bench) -> None:
    bench.client("session").submit("a")
    restart(bench)
    worker = bench.worker()
    assert worker.delivered() == ["a"]
    [define] = worker.take(m.Define)
    assert define.clients == [(worker.calls["a"].client, "session", "tcp://session:1")]


def test_so_they_do_in_a_mesh_with_keys(bench: Bench) -> None:
    client, key = ClientParty(bench, bench.stranger().peer), "k" * 40
    client.say(m.ClientHello(VERSIONS, "1", "me", "me", "tcp://me:1", key))
    client.submit("a")
    restart(bench)
    worker = bench.worker()
    assert worker.delivered() == ["a"]
    assert [key for message in worker.take(m.Define) for _, key in message.keys] == [key]


def test_the_last_reply_address_of_a_client_is_the_one_that_is_kept(bench: Bench) -> None:
    client = bench.client("session")
    client.submit("a")
    bench.lose(client)
    bench.stranger().say(m.ClientHello((1, 1), "nonce", "name", "session", "tcp://elsewhere:2"))
    restart(bench)
    worker = bench.worker()
    [define] = worker.take(m.Define)
    assert [address for _, _, address in define.clients] == ["tcp://elsewhere:2"]


def test_a_client_that_has_submitted_nothing_is_not_kept(bench: Bench) -> None:
    bench.client("looks around").say(m.Query(1, ["a"]))
    assert bench.shelf is not None and bench.shelf.clients == {}


def test_clients_that_are_forgotten_are_forgotten_on_disk_too() -> None:
    bench = Bench(shelf=Shelf(), client_age_s=5.0)
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    worker.report("a")
    bench.lose(client)
    for _ in range(20):
        worker.control.say(m.Heartbeat(bench.now_s, 0.0, []))
        bench.wait(0.5)
    assert bench.shelf is not None and bench.shelf.clients == {}


def test_functions_that_are_dropped_are_dropped_on_disk_too() -> None:
    bench = Bench(shelf=Shelf(), code_bytes=10)
    client, worker = bench.client(), bench.worker()
    client.say(m.Code("first", b"12345678"))
    client.submit("a", spec=CallSpec("f", code="first"))
    assert bench.shelf is not None and list(bench.shelf.codes) == ["first"]
    worker.report("a")
    client.say(m.Code("second", b"12345678"))
    assert list(bench.shelf.codes) == []
    client.submit("b", spec=CallSpec("f", code="second"))
    assert list(bench.shelf.codes) == ["second"]
    # And one that came before is kept again
    worker.report("b")
    client.say(m.Code("first", b"12345678"))
    client.submit("c", spec=CallSpec("f", code="first"))
    assert list(bench.shelf.codes) == ["first"]


def test_functions_that_no_kept_call_uses_are_not_kept() -> None:
    bench = Bench(shelf=Shelf(), code_bytes=10, transient_queues=frozenset({"fast"}))
    client = bench.client()
    in_trouble(bench)
    bench.is_slow = True
    for number in range(100):
        client.say(m.Code(f"digest-{number}", b"12345678"))
        client.submit(f"a-{number}", spec=CallSpec("f", code=f"digest-{number}"))
    client.submit("transient", spec=CallSpec("f", "fast", code="digest-99"))
    assert bench.core.stats()["unwritten"] == 0, "what cannot be written would be held, however much it is"


def test_dead_letters_outlive_the_coordinator_and_go_on(bench: Bench) -> None:
    for task_id in ("first", "second"):
        worker = bench.worker(f"for {task_id}")
        bench.client().submit(task_id, spec=ONCE)
        worker.announce(task_id)
        worker.die()
        restart(bench)
    letters = bench.client().order("dead_letters")
    assert [letter["id"] for letter in letters] == ["first", "second"]


def test_a_call_with_an_address_is_kept_wherever_it_goes(bench: Bench) -> None:
    # Its client takes it for kept: it does not know that its queue is transient.
    bench.settings = replace(bench.settings, transient_queues=frozenset(["transient"]))
    bench.start()
    client = bench.client()
    client.submit("a", spec=CallSpec("add", "", routing_key="transient"))
    client.submit("b", spec=CallSpec("add", "transient"))
    bench.start()
    assert [bench.state_of(task_id) for task_id in ("a", "b")] == ["open", "unknown"]


def test_a_worker_that_missed_a_revocation_hears_of_it_as_it_was_meant(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker(slots=2)
    client.submit("ends", "does not start")
    attempts = [(task_id, worker.attempt(task_id)) for task_id in ("ends", "does not start")]
    bench.lose(worker)
    bench.lose(worker.control)
    client.order("revoke", ids=["ends"], terminate=True)
    client.order("revoke", ids=["does not start"])
    before = bench.epoch
    bench.start()
    back = bench.worker(epoch=worker.epoch, coordinator=before, held=attempts, slots=2)
    told = {task_id: message.terminate for message in back.take(m.Revoke) for task_id in message.ids}
    assert told == {"ends": True, "does not start": False}


def test_outcomes_that_were_too_old_when_it_stopped_are_not_there_when_it_starts(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a")
    worker.report("a")
    bench.wall_s += bench.settings.outcome_age_s + 1
    restart(bench)
    bench.worker("another")
    bench.wait(1.0)
    assert bench.state_of("a") == "unknown"


def test_a_new_coordinator_goes_on_counting(bench: Bench) -> None:
    client, worker = bench.client("one"), bench.worker(slots=1)
    client.submit("a", "b")
    worker.report("a")
    restart(bench)
    bench.client("two").submit("c", spec=CallSpec("mul"))
    restart(bench)
    worker = bench.worker(slots=5, offers=["add", "mul"])
    assert worker.delivered() == ["b", "c"]
    sessions = {number: session for define in worker.take(m.Define) for number, session, _ in define.clients}
    assert [sessions[worker.calls[each].client] for each in ("b", "c")] == ["one", "two"]


def test_the_number_of_a_client_that_is_forgotten_is_not_given_to_another_while_its_calls_are_open() -> None:
    bench = Bench(shelf=Shelf(), client_age_s=5.0)
    worker, client = bench.worker("busy", queues=["other"]), bench.client("gone")
    client.submit("a")
    bench.lose(client)
    for _ in range(20):
        worker.control.say(m.Heartbeat(bench.now_s, 0.0, []))
        bench.wait(0.5)
    restart(bench)
    for number in range(5):
        bench.client(f"new-{number}")
    worker = bench.worker()
    assert worker.delivered() == ["a"]
    [define] = worker.take(m.Define)
    assert define.clients == []


def test_the_grace_begins_when_all_is_restored() -> None:
    bench = Bench(shelf=Shelf())
    bench.client().submit("a")
    assert bench.store is not None
    # Given a coordinator whose journal takes nearly a grace to read
    core = Coordinator("coordinator", "epoch", bench.settings, 0.0, bench.wall_s)
    core.restore(bench.store.load())
    core.begin(1.9, bench.wall_s)
    for now_s in (1.95, 3.0):
        core.advance(now_s, bench.wall_s)
        core.finish()
    assert list(core.state.held_back) == ["a"]


def test_a_row_number_that_a_client_sends_means_nothing() -> None:
    bench = Bench(shelf=Shelf(), transient_queues=frozenset({"metrics"}))
    client, worker = bench.client(), bench.worker(queues=["metrics"])
    client.submit("kept")
    row = bench.core.state.keeping.row
    client.submit("passing", spec=CallSpec("add", queue="metrics"), row=row)
    worker.report("passing")
    restart(bench)
    assert bench.state_of("kept") == "open"


# -- trouble -----------------------------------------------------------------------------------------------------

TROUBLE = "the journal in /data cannot be written: database or disk is full; free some space on its disk"


def in_trouble(bench: Bench, trouble: str = TROUBLE) -> None:
    """The store reports that it cannot be written, or that it can again."""
    bench.core.report_trouble(trouble)
    bench.step()


def test_while_the_store_cannot_be_written_new_calls_are_refused_and_told_why(bench: Bench) -> None:
    client = bench.client()
    in_trouble(bench)
    client.submit("a")
    [refused] = client.take(m.Refused)
    assert refused.calls[0] == ("a", TROUBLE)
    assert bench.state_of("a") == "unknown"
    assert bench.core.stats()["trouble"] == TROUBLE


def test_what_was_taken_before_goes_on_meanwhile(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("a", "b")
    bench.is_slow = True
    in_trouble(bench)
    worker.report("a")
    assert worker.delivered() == ["b"]
    assert bench.core.stats()["unwritten"] == 1
    # And is acknowledged when it can be written
    assert worker.take(m.Acked) == []
    in_trouble(bench, "")
    bench.write()
    bench.wait(0.01)
    assert worker.take(m.Acked) != [] and bench.core.stats()["unwritten"] == 0


def test_what_waits_to_be_said_meanwhile_does_not_grow_with_each_attempt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "FEWEST_THINNED_OUT", 10)
    gone, client = bench.client("gone"), bench.client()
    bench.is_slow = True
    client.submit("written")
    in_trouble(bench)
    client.say(m.Query(7, ["written"]))
    gone.submit("refused")
    bench.lose(gone)
    for number in range(200):
        client.submit(f"refused-{number}")
    assert sum(len(acks) for _, _, acks in bench.core._unconfirmed) < 40
    # And all that matters is said when it can be
    in_trouble(bench, "")
    bench.write()
    assert client.accepted() == 201
    assert [report.token for report in client.take(m.Report)] == [7]


def test_it_says_how_it_stands_although_nothing_can_be_written(bench: Bench) -> None:
    client = bench.client()
    bench.is_slow = True
    client.submit("a")
    in_trouble(bench)
    assert client.order("coordinator")["trouble"] == TROUBLE
    assert client.order("dead_letters") == []


def test_calls_can_be_revoked_although_nothing_can_be_written(bench: Bench) -> None:
    client, worker = bench.client(), bench.worker()
    client.submit("runs", "waits")
    bench.is_slow = True
    in_trouble(bench)
    became = client.order("revoke", ids=["runs", "waits"], terminate=True)
    assert became["runs"] == f"its worker was told; not written down yet: {TROUBLE}"
    assert worker.take(m.Revoke) == [m.Revoke(["runs"], terminate=True)]
    assert bench.state_of("waits") == "REVOKED"


def test_it_takes_calls_again_when_the_store_can_be_written(bench: Bench) -> None:
    client = bench.client()
    in_trouble(bench)
    in_trouble(bench, "")
    client.submit("a")
    assert client.take(m.Refused) == [] and bench.state_of("a") == "open"


def test_calls_of_transient_queues_are_taken_in_spite_of_it() -> None:
    bench = Bench(shelf=Shelf(), transient_queues=frozenset({"metrics"}))
    client, worker = bench.client(), bench.worker(queues=["metrics"])
    in_trouble(bench)
    client.submit("a", spec=CallSpec("add", queue="metrics"))
    assert worker.delivered() == ["a"]


def test_a_call_that_is_known_is_not_refused_when_it_comes_again(bench: Bench) -> None:
    client = bench.client("session")
    client.submit("a")
    bench.lose(client)
    in_trouble(bench)
    again = bench.client("session")
    again.submit("a", fresh=False)
    assert again.take(m.Refused) == [] and bench.state_of("a") == "open"


def test_calls_that_may_be_running_wait_until_the_trouble_is_over(bench: Bench) -> None:
    client = bench.client()
    in_trouble(bench)
    client.submit("a", fresh=False, resent=True)
    assert client.take(m.Refused) == []
    assert client.take(m.Pressure)[-1].reason == TROUBLE
    in_trouble(bench, "")
    assert bench.state_of("a") == "open"
    assert client.take(m.Pressure)[-1].reason == ""


def test_clients_hear_of_the_trouble_also_those_that_come_later(bench: Bench) -> None:
    early = bench.client("early")
    in_trouble(bench)
    late = bench.client("late")
    assert [each.take(m.Pressure)[-1].reason for each in (early, late)] == [TROUBLE, TROUBLE]
    in_trouble(bench, "")
    assert [each.take(m.Pressure)[-1].reason for each in (early, late)] == ["", ""]
