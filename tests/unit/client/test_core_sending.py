"""What a client sends, and what it sends again to which coordinator."""

from __future__ import annotations

import logging

import pytest

from actorq.client.pending import Pending
from actorq.errors import CallRefused
from actorq.wire import messages as m
from actorq.wire.records import FAILURE, SUCCESS, Call, Node, Outcome, Plan
from tests.unit.client.core_support import BY_VALUE, IGNORED, PLAIN, SPECS, Bench, failure_of


def workflow(bench: Bench, task_id: str, spec: int, replies: bool = True) -> Pending:
    """A user hands a workflow of one call over."""
    plan = Plan(f"plan of {task_id}", [Node(Call(task_id, spec, b""), replies=replies)])
    pending = Pending(task_id, plan)
    if replies:
        bench.core.pending[task_id] = pending
    bench.core.plans.append(plan)
    return pending


@pytest.fixture(params=[False, True], ids=["once", "each message twice"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """A client that is welcomed; it hears each message once, or twice."""
    return Bench(twice=request.param)


def test_calls_go_out_together_with_the_options_they_need(bench: Bench) -> None:
    bench.submit("a", "b")
    [submit] = bench.take(m.Submit)
    assert (submit.seq, submit.specs, [call.id for call in submit.calls]) == (1, list(enumerate(SPECS, 1)), ["a", "b"])
    assert submit.fresh and not submit.resent
    bench.submit("c")
    [submit] = bench.take(m.Submit)
    assert (submit.seq, submit.specs) == (2, []), "the coordinator knows them"


def test_a_function_goes_out_before_the_first_call_that_may_use_it(bench: Bench) -> None:
    bench.submit("a", spec=BY_VALUE)
    kinds = [type(message) for message in bench.said]
    assert kinds == [m.Code, m.Submit]


def test_an_id_that_a_user_chose_may_be_known_to_the_mesh(bench: Bench) -> None:
    bench.submit("order-17", chosen=True)
    bench.submit("made-for-it")
    assert [submit.fresh for submit in bench.take(m.Submit)] == [False, True]


def test_no_more_is_sent_than_the_coordinators_window_holds() -> None:
    bench = Bench(connect=False)
    bench.connect(window=3)
    bench.submit(*"abcde")
    assert bench.submitted() == [(["a", "b", "c"], False)]
    assert bench.core.backlog() == 5
    bench.hear(m.Accepted(1))
    assert bench.submitted() == [(["d", "e"], False)]


def test_large_bodies_make_small_messages() -> None:
    bench = Bench(submit_batch=100)
    for _ in range(2):
        for number in range(10):
            call = Call(f"{number}", 1, b"x" * 60_000)
            bench.core.outbox.append(call)
        bench.step()
    assert max(len(submit.calls) for submit in bench.take(m.Submit)[1:]) <= 8


def test_an_outcome_settles_a_call_and_the_first_one_stays(bench: Bench) -> None:
    [pending] = bench.submit("a")
    bench.core.settled([Outcome("a", 1, SUCCESS, b"first")])
    bench.hear(m.Settled([Outcome("a", 2, FAILURE, b"second")]))
    assert pending.outcome is not None and pending.outcome.body == b"first"
    assert bench.core.pending == {}


def test_whoever_waits_is_notified(bench: Bench) -> None:
    [pending] = bench.submit("a")
    rung: list[str] = []
    pending.waiters = [lambda: rung.append("a")]
    bench.hear(bench.settle("a"))
    assert rung == ["a"]


def test_a_call_that_is_refused_fails_with_the_reason(bench: Bench) -> None:
    [pending] = bench.submit("a")
    bench.hear(m.Refused([("a", "too many options")]))
    assert isinstance(failure_of(pending), CallRefused) and "too many options" in str(failure_of(pending))


def test_a_call_whose_function_was_dropped_is_sent_again_with_it(bench: Bench) -> None:
    [pending] = bench.submit("a", spec=BY_VALUE)
    bench.said.clear()
    bench.hear(m.Refused([("a", m.CODE_MISSING)]), m.Accepted(1))
    assert failure_of(pending) is None
    assert bench.take(m.Code)[0] == m.Code("digest", b"the function")
    assert bench.submitted()[0] == (["a"], False)


def test_a_workflow_whose_function_was_dropped_is_sent_again_with_it(bench: Bench) -> None:
    """Of several that went out together, that one."""
    workflow(bench, "a", PLAIN)
    workflow(bench, "b", BY_VALUE, replies=False)
    bench.step()
    assert [[plan.id for plan in message.plans] for message in bench.take(m.Submit)] == [["plan of a", "plan of b"]]
    bench.take(m.Code)
    bench.hear(m.Refused([("b", m.CODE_MISSING)]))
    kinds = {type(message) for message in bench.said}
    assert kinds == {m.Code, m.Submit} and type(bench.said[0]) is m.Code
    assert {plan.id for message in bench.take(m.Submit) for plan in message.plans} == {"plan of b"}


def test_that_a_workflow_is_refused_whose_outcomes_nobody_awaits_is_in_the_log(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    workflow(bench, "a", PLAIN, replies=False)
    bench.step()
    with caplog.at_level(logging.ERROR, "actorq.client"):
        bench.hear(m.Refused([("a", "the disk is full")]))
    assert "call a, whose result nobody wanted, was refused: the disk is full" in caplog.text


def test_pressure_is_known_until_it_is_over(bench: Bench) -> None:
    bench.hear(m.Pressure("queue 'default' is full"))
    assert "full" in bench.core.pressure
    bench.hear(m.Pressure(""))
    assert bench.core.pressure == ""


# -- connections --------------------------------------------------------------------------------------------------


def test_nothing_is_sent_before_the_welcome() -> None:
    bench = Bench(connect=False)
    hello = bench.open()
    bench.submit("a")
    bench.hear(m.Welcome(1, "another nonce", "old", "old", 100))
    assert bench.submitted() == []
    bench.hear(m.Welcome(1, hello.nonce, "new", "new", 100))
    assert bench.submitted() == [(["a"], False)]


def test_the_addresses_are_tried_in_turn_each_time_after_a_longer_pause() -> None:
    bench = Bench(connect=False, addresses=("tcp://a:1", "tcp://b:2"))
    pauses = []
    for _ in range(8):
        bench.core.lose(bench.peer)
        bench.step()
        assert bench.deadline_s is not None
        pauses.append(bench.deadline_s - bench.now_s)
        bench.wait(pauses[-1])
    assert bench.dialled[:3] == ["tcp://a:1", "tcp://b:2", "tcp://a:1"]
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(bench.settings.redial_min_s)
    assert pauses[-1] == pytest.approx(bench.settings.redial_max_s)


def test_a_coordinator_that_does_not_answer_is_given_up() -> None:
    bench = Bench(connect=False, addresses=("tcp://a:1", "tcp://b:2"))
    bench.open()
    bench.wait(bench.settings.hello_timeout_s + 1.0)
    assert bench.dialled == ["tcp://a:1", "tcp://b:2"]


def test_whoever_is_told_to_begin_again_dials_again(bench: Bench) -> None:
    bench.hear(m.Reset())
    assert not bench.core.is_open
    bench.wait(1.0)
    assert len(bench.dialled) == 2


def test_whoever_is_rejected_knows_why_and_goes_on_trying(bench: Bench) -> None:
    bench.hear(m.Rejected("bring both to the same release"))
    assert "same release" in bench.core.rejection
    bench.wait(1.0)
    assert len(bench.dialled) == 2


def test_what_was_not_accepted_is_sent_again_to_the_same_coordinator_and_cannot_be_running(bench: Bench) -> None:
    bench.submit("a")
    bench.hear(m.Accepted(1))
    bench.submit("b")
    bench.reconnect()
    [submit] = bench.take(m.Submit)
    assert [call.id for call in submit.calls] == ["b"]
    assert not submit.resent and not submit.fresh
    assert (submit.seq, len(submit.specs)) == (1, 3), "a new session begins with nothing known"


def test_calls_that_were_never_sent_are_known_to_nobody_also_after_a_reconnect(bench: Bench) -> None:
    bench.submit("a")
    bench.reconnect()
    bench.submit("b")
    assert [([call.id for call in each.calls], each.fresh) for each in bench.take(m.Submit)] == [
        (["a"], False),
        (["b"], True),
    ]


def test_all_that_has_not_settled_is_sent_to_a_new_coordinator_and_may_be_running(bench: Bench) -> None:
    bench.submit("accepted", "settled")
    bench.hear(m.Accepted(1))
    bench.submit("unaccepted")
    bench.submit("settled before it was accepted")
    bench.hear(bench.settle("settled", "settled before it was accepted"))
    bench.reconnect("another coordinator")
    [(ids, resent)] = bench.submitted()
    assert sorted(ids) == ["accepted", "unaccepted"] and resent


def test_what_a_coordinator_with_a_journal_has_accepted_is_its_own_to_keep(bench: Bench) -> None:
    bench.reconnect(durable=True)
    bench.submit("accepted")
    bench.hear(m.Accepted(1))
    bench.submit("unaccepted")
    bench.reconnect("another incarnation", durable=True)
    assert bench.submitted() == [(["unaccepted"], True)]


def test_calls_of_its_transient_queues_stay_ours_all_the_same(bench: Bench) -> None:
    bench.reconnect(durable=True, transient=["default"])
    bench.submit("accepted", "settled")
    bench.hear(m.Accepted(1))
    bench.hear(bench.settle("settled"))
    bench.reconnect("another incarnation", durable=True)
    assert bench.submitted() == [(["accepted"], True)]


def test_calls_of_its_other_queues_do_not(bench: Bench) -> None:
    bench.reconnect(durable=True, transient=["metrics"])
    bench.submit("accepted")
    bench.hear(m.Accepted(1))
    bench.reconnect("another incarnation", durable=True)
    assert bench.submitted() == []


def test_what_still_waits_here_is_sent_once(bench: Bench) -> None:
    bench.core.window = 0
    bench.submit("a")
    bench.reconnect("another coordinator")
    assert bench.submitted() == [(["a"], False)]


def test_a_call_whose_outcome_nobody_wants_is_sent_again_if_it_was_not_accepted(bench: Bench) -> None:
    bench.submit("accepted", spec=IGNORED)
    bench.hear(m.Accepted(1))
    bench.submit("unaccepted", spec=IGNORED)
    bench.reconnect("another coordinator")
    assert bench.submitted() == [(["unaccepted"], True)]


def test_what_may_be_running_is_said_to_be_so_until_it_is_accepted(bench: Bench) -> None:
    bench.submit("a")
    bench.hear(m.Accepted(1))
    bench.reconnect("second coordinator")
    assert bench.submitted() == [(["a"], True)]
    # Given that the connection is lost before that was accepted
    bench.reconnect("second coordinator")
    assert bench.submitted() == [(["a"], True)]


def test_nothing_from_an_earlier_connection_counts(bench: Bench) -> None:
    bench.submit("a")
    old = bench.peer
    bench.reconnect()
    bench.core.receive(old, m.Accepted(1))
    bench.core.receive(old, m.Reset())
    assert bench.core.is_open and bench.core.unaccepted_count == 1


# -- how much may be out, and may wait -----------------------------------------------------------------------------


def large(bench: Bench, *ids: str, size_bytes: int) -> None:
    bench.core.outbox.extend(Call(task_id, PLAIN, bytes(size_bytes)) for task_id in ids)


def test_nothing_is_sent_while_as_many_bytes_are_out_as_the_coordinator_allows() -> None:
    bench = Bench(connect=False)
    bench.hear(m.Welcome(1, bench.open().nonce, "c", "c", 100, window_bytes=100))
    large(bench, "a", "b", size_bytes=60)
    bench.step()
    large(bench, "c", size_bytes=1)
    bench.step()
    assert bench.submitted() == [(["a", "b"], False)]  # The last one may go beyond it.
    assert not bench.core.has_window()
    # When that is accepted, it goes on
    bench.hear(m.Accepted(1))
    assert bench.submitted() == [(["c"], False)]
    assert bench.core.unaccepted_bytes == 1


def test_the_window_of_bytes_is_open_after_a_reconnect() -> None:
    bench = Bench(connect=False)
    bench.hear(m.Welcome(1, bench.open().nonce, "c", "c", 100, window_bytes=100))
    large(bench, "a", size_bytes=200)
    bench.step()
    bench.reconnect(window=100)
    assert bench.core.has_window()


def test_calls_that_cannot_be_sent_are_not_out() -> None:
    bench = Bench()
    large(bench, "a", size_bytes=50)
    bench.step()
    [submit] = bench.take(m.Submit)
    bench.core.unsendable(submit, ValueError("why"))
    assert bench.core.unaccepted_bytes == 0


def test_of_workflows_that_cannot_be_sent_together_those_that_can_be_sent_alone_are() -> None:
    bench = Bench()
    pendings = [workflow(bench, each, PLAIN) for each in "abc"]
    bench.step()
    [submit] = bench.take(m.Submit)
    bench.core.unsendable(submit, ValueError("half a character"))
    bench.step()
    assert [(bench.core.unaccepted_count, failure_of(each)) for each in pendings] == [(3, None)] * 3
    submits = bench.take(m.Submit)
    assert [[plan.id for plan in each.plans] for each in submits] == [["plan of a"], ["plan of b"], ["plan of c"]]
    bench.core.unsendable(submits[1], ValueError("half a character"))
    assert [failure_of(each) is None for each in pendings] == [True, False, True]


def test_the_larger_the_arguments_the_fewer_calls_may_wait() -> None:
    bench = Bench(outbox_limit=1000, outbox_bytes=100_000)
    assert bench.core.room == 1000
    large(bench, "a", size_bytes=950)
    bench.step()
    assert bench.core.room == 100
    # Also where they are not sent, because the window is closed
    bench.hear(m.Accepted(1))
    bench.core.window = 0
    large(bench, "b", size_bytes=10_000)
    bench.step()
    assert bench.core.room == 10
    # And one of any size may
    large(bench, "c", size_bytes=1_000_000)
    bench.step()
    assert bench.core.room == 1


# -- unique keys --------------------------------------------------------------------------------------------------


def waits_to_hear(bench: Bench, task_id: str) -> list[str]:
    """Under which id a call is known, as soon as that is said."""
    box: list[str] = []
    bench.core.uniques[task_id] = box, lambda: None
    return box


def test_a_unique_call_that_is_to_be_sent_again_is_not_said_to_be_taken(bench: Bench) -> None:
    box = waits_to_hear(bench, "a")
    bench.submit("a", spec=BY_VALUE, chosen=True)
    bench.hear(m.Refused([("a", m.CODE_MISSING)]), m.Accepted(1))
    assert box == []
    bench.hear(m.Duplicates([("a", "other")]))
    assert box == ["other"]


def test_a_unique_call_whose_outcome_comes_first_was_taken(bench: Bench) -> None:
    box = waits_to_hear(bench, "a")
    bench.submit("a", chosen=True)
    bench.core.settled([Outcome("a", 1, SUCCESS, b"")])
    assert box == ["a"]


def test_whoever_waits_for_a_unique_call_without_wanting_its_result_hears_that_it_is_refused(bench: Bench) -> None:
    box = waits_to_hear(bench, "a")
    bench.submit("a", spec=IGNORED, chosen=True)
    bench.hear(m.Refused([("a", "too many options")]))
    assert box == ["a"]


def test_a_workflow_whose_function_was_dropped_is_sent_again_once(bench: Bench) -> None:
    plan = Plan("p", [Node(Call("a", BY_VALUE, b""))])
    bench.core.plans.append(plan)
    bench.step()
    bench.said.clear()
    bench.hear(m.Refused([("a", m.CODE_MISSING)]))
    assert [submit.plans for submit in bench.take(m.Submit)] == [[plan]]
