"""A worker that serves several coordinators: one session with each, one pool of slots for all."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, TypeVar

from actorq.config import LivenessSettings, WorkerSettings
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.messages import Message
from actorq.wire.records import SUCCESS, Call, CallSpec, Member, Outcome
from actorq.worker.core import Session, Worker
from tests.unit.worker.core_support import Job

M = TypeVar("M", bound=Message)
CLIENT = 5


class Several:
    """A worker's core between coordinators that the test speaks for, by the letters of their addresses."""

    def __init__(self, *seeds: str, **settings: Any) -> None:
        self.now_s = 100.0
        self.said: dict[str, list[Message]] = defaultdict(list)
        self.straight: list[str] = []
        self.dialled: list[str] = []
        self.hung_up: list[int] = []
        self.rejected = ""
        self.peers: dict[str, int] = {}
        self._packer = frames.Packer()
        self._deliveries: dict[str, int] = defaultdict(int)
        self._last_peer = 0
        whole = WorkerSettings(liveness=LivenessSettings(), **{"concurrency": 4, **settings})
        addresses = [address(name) for name in seeds]
        self.core = Worker("worker", "epoch", 1, ["default"], ["add"], Job, whole, addresses, self.now_s)
        self.step()

    def step(self, seconds: float = 0.0) -> None:
        self.now_s += seconds
        self.core.advance(self.now_s)
        effects = self.core.finish()
        for to in effects.dial:
            self._last_peer += 1
            self.core.dialled(to, self._last_peer)
            self.dialled.append(to[6])
            self.peers[to[6]] = self._last_peer
        names = {peer: name for name, peer in self.peers.items()}
        for peer, messages in effects.sends.items():
            self.said[names[peer]] += messages
        for outcomes in effects.results.values():
            self.straight += [outcome.id for outcome in outcomes]
        self.rejected = self.rejected or effects.rejected
        for peer in effects.hang_ups:
            self.hung_up.append(peer)
            self.core.lose(peer)

    def hear(self, name: str, *messages: Message) -> None:
        self.core.advance(self.now_s)
        for message in messages:
            packed = [bytes(frame) for frame in self._packer.pack(message)]
            self.core.receive(self.peers[name], frames.unpack(packed, frames.TO_WORKER))
        self.step()

    def take(self, name: str, kind: type[M]) -> list[M]:
        """What was said to a coordinator, of one kind, since this was asked the last time."""
        found = [message for message in self.said[name] if isinstance(message, kind)]
        self.said[name] = [message for message in self.said[name] if not isinstance(message, kind)]
        return found

    def answer(self, name: str, epoch: str = "", others: tuple[str, ...] = (), own: str = "") -> None:
        """The connection to `name` is up, and the coordinator there says who it is: at `own`, if that is another name."""
        self.core.opened(self.peers[name])
        self.step()
        discover = self.take(name, m.Discover)[-1]
        self.hear(name, m.View(discover.nonce, member(own or name, epoch), [member(other) for other in others]))

    def welcome(self, name: str, epoch: str = "", others: tuple[str, ...] = (), own: str = "") -> m.WorkerHello:
        """The coordinator there welcomes the worker. Returns the Hello."""
        self.answer(name, epoch, own=own)
        hello = self.take(name, m.WorkerHello)[-1]
        epoch = epoch or f"epoch {name}"
        self._deliveries[name] = 0
        self.hear(
            name,
            m.Welcome(1, hello.nonce, name, epoch, others=[member(other) for other in others]),
            m.Define([(1, CallSpec("add"))], [(CLIENT, "session", "tcp://client:1")]),
        )
        return hello

    def deliver(self, name: str, *ids: str, attempt: int = 1, backlog: int = 0) -> None:
        self._deliveries[name] += 1
        calls = [Call(task_id, 1, b"", client=CLIENT, attempt=attempt) for task_id in ids]
        self.hear(name, m.Deliver(self._deliveries[name], calls, 0, backlog))

    def run(self, *ids: str) -> None:
        """The pool runs these to their ends."""
        ended = []
        for call, _ in list(self.core.ready):
            if call.id in ids:
                self.core.ready.remove((call, _))
                ended.append(Outcome(call.id, call.attempt, SUCCESS, b""))
        self.core.ended(ended)
        self.step()

    def reported(self, name: str) -> list[tuple[str, int]]:
        return [(each.id, each.attempt) for report in self.take(name, m.Finished) for each in report.outcomes]

    def session(self, name: str) -> Session:
        peer = self.peers[name]
        return next(session for session in self.core.sessions.values() if session.peer == peer)


def address(name: str) -> str:
    return f"tcp://{name}:1"


def member(name: str, epoch: str = "") -> Member:
    return Member(address(name), epoch or f"epoch {name}", name)


def both(**settings: Any) -> Several:
    """A worker that two coordinators have welcomed."""
    worker = Several("a", "b", **settings)
    worker.welcome("a")
    worker.welcome("b")
    return worker


def test_it_gets_to_know_all_coordinators_from_the_one_that_it_was_told_of() -> None:
    worker = Several("a")
    worker.welcome("a", others=("b", "c"))
    assert worker.dialled == ["a", "b", "c"]
    worker.welcome("b")
    worker.hear("a", m.View("", member("a"), [member("b"), member("c"), member("d")]))
    assert worker.dialled[-1] == "d"


def test_of_two_addresses_of_one_coordinator_one_is_used() -> None:
    worker = Several("a", "b")
    worker.welcome("a", epoch="one")
    worker.answer("b", epoch="one")
    assert worker.hung_up == [worker.peers["b"]] and not worker.take("b", m.WorkerHello)
    assert len(worker.core.sessions) == 1


def test_of_two_addresses_of_one_coordinator_one_is_used_also_before_that_one_has_welcomed_it() -> None:
    worker = Several("a", "b")
    worker.answer("a", epoch="one")
    worker.answer("b", epoch="one")
    assert worker.hung_up == [worker.peers["b"]] and not worker.take("b", m.WorkerHello)
    assert len(worker.core.sessions) == 1


def test_a_coordinator_that_starts_anew_gets_the_same_session_also_by_another_of_its_addresses() -> None:
    worker = Several("a", "b")
    worker.welcome("a", epoch="one")
    worker.answer("b", epoch="one", own="a")
    worker.deliver("a", "1")
    worker.core.lose(worker.peers["a"])
    worker.step(1.0)
    hello = worker.welcome("b", epoch="two", own="a")
    assert hello.held == [("1", 1)] and hello.coordinator == "one"
    # And the first address is no second session
    worker.answer("a", epoch="two")
    assert len(worker.core.sessions) == 1


def test_a_coordinator_that_acknowledges_nothing_does_not_keep_the_node_from_working_for_the_others() -> None:
    worker = both(unacked_limit=2)
    worker.deliver("a", "1", "2", "3")
    worker.run("1", "2", "3")
    worker.step(1.0)
    assert worker.session("a").capacity[0] == 0
    assert worker.session("b").capacity[0] == 4
    # Nor does it once it is gone, and never comes back
    worker.core.lose(worker.peers["a"])
    worker.step(1000.0)
    assert worker.session("b").capacity[0] == 4


def test_each_coordinator_hears_of_its_own_calls() -> None:
    worker = both()
    worker.deliver("a", "1", "2")
    worker.deliver("b", "3")
    worker.run("1", "2", "3")
    assert worker.reported("a") == [("1", 1), ("2", 1)]
    assert worker.reported("b") == [("3", 1)]
    assert worker.straight == ["1", "2", "3"]


def test_the_loss_of_one_leaves_the_sessions_with_the_others_alone() -> None:
    worker = both()
    worker.deliver("a", "1")
    worker.deliver("b", "2")
    worker.core.lose(worker.peers["a"])
    worker.run("1", "2")
    assert worker.reported("b") == [("2", 1)]
    # When it is back, it hears what has ended meanwhile
    worker.step(1.0)
    hello = worker.welcome("a")
    assert hello.held == [("1", 1)] and hello.coordinator == "epoch a"
    assert worker.reported("a") == [("1", 1)]


def test_a_coordinator_that_starts_anew_at_its_address_gets_the_same_session() -> None:
    worker = both()
    worker.deliver("a", "1")
    worker.core.lose(worker.peers["a"])
    worker.step(1.0)
    hello = worker.welcome("a", epoch="another")
    assert hello.held == [("1", 1)] and hello.coordinator == "epoch a"
    assert len(worker.core.sessions) == 2


def test_a_call_that_two_coordinators_have_leased_runs_once_and_both_hear_of_it() -> None:
    worker = both()
    worker.deliver("a", "1", attempt=3)
    worker.deliver("b", "1", attempt=1)
    assert len(worker.core.ready) == 1
    worker.run("1")
    assert worker.reported("a") == [("1", 3)]
    assert worker.reported("b") == [("1", 1)]
    assert worker.core.is_idle() is False and not worker.core.held


def test_a_second_lease_takes_over_when_the_first_is_taken_back() -> None:
    worker = both()
    worker.deliver("a", "1")
    worker.deliver("b", "1", attempt=2)
    worker.hear("a", m.Revoke(["1"], forget=True))
    # Its first run may still be ending, so it waits until the start is noted
    assert [starting.attempts for starting in worker.take("b", m.Starting)] == [[("1", 2)]]
    worker.hear("b", m.Begin(["1"]))
    worker.run("1")
    assert worker.reported("b") == [("1", 2)] and worker.reported("a") == []


def test_a_second_lease_that_is_revoked_is_reported_so() -> None:
    worker = both()
    worker.deliver("a", "1")
    worker.deliver("b", "1")
    worker.hear("b", m.Revoke(["1"]))
    assert worker.reported("b") == [("1", 1)]
    worker.run("1")
    assert worker.reported("a") == [("1", 1)] and worker.reported("b") == []


def test_what_is_listed_to_a_coordinator_is_what_it_has_leased() -> None:
    worker = both()
    worker.deliver("a", "1", "2")
    worker.deliver("b", "2", "3")
    for name in ("a", "b"):
        worker.core.lose(worker.peers[name])
    worker.step(1.0)
    assert worker.welcome("a").held == [("1", 1), ("2", 1)]
    assert sorted(worker.welcome("b").held) == [("2", 1), ("3", 1)]


def test_its_slots_go_to_those_that_have_something_to_run() -> None:
    worker = both(concurrency=100)
    worker.step(1.0)
    worker.deliver("a", "1", backlog=5000)
    worker.step(0.01)
    assert worker.session("a").capacity[0] > 90
    assert 1 <= worker.session("b").capacity[0] < 10
    # When the other one has as much, it gets as much
    worker.deliver("a", "3", backlog=5000)
    worker.deliver("b", "2", backlog=5000)
    worker.step(0.01)
    assert abs(worker.session("a").capacity[0] - worker.session("b").capacity[0]) < 10


def test_whoever_grants_nothing_although_it_may_has_nothing_that_waits() -> None:
    worker = both(concurrency=100)
    worker.deliver("a", "1", backlog=5000)
    worker.step(0.01)
    worker.deliver("b", "2", backlog=5000)
    worker.step(1.0)
    worker.deliver("b", "3", backlog=4000)
    worker.step(0.01)
    assert worker.session("b").capacity[0] > 90


def test_draining_gives_back_to_each_what_is_its_own() -> None:
    worker = both()
    worker.deliver("a", "1", "2")
    worker.deliver("b", "2", "3")
    worker.core.drain()
    worker.step()
    assert [each.attempts for each in worker.take("a", m.Returned)] == [[("1", 1), ("2", 1)]]
    assert [each.attempts for each in worker.take("b", m.Returned)] == [[("3", 1), ("2", 1)]]
    assert worker.session("a").capacity[0] == worker.session("b").capacity[0] == 0


def test_a_coordinator_that_has_left_is_forgotten_when_it_has_heard_of_all_that_it_had_leased() -> None:
    worker = Several("a")
    worker.welcome("a", others=("b",))
    worker.welcome("b")
    worker.deliver("b", "1")
    worker.hear("a", m.View("", member("a"), []))
    worker.core.lose(worker.peers["b"])
    worker.run("1")
    worker.step(5.0)
    assert len(worker.core.sessions) == 2, "it has not heard of the call yet"
    worker.welcome("b")
    assert worker.reported("b") == [("1", 1)]
    worker.hear("b", m.Acked(1))
    worker.core.lose(worker.peers["b"])
    worker.step(10.0)
    assert len(worker.core.sessions) == 1


def test_a_coordinator_that_rejects_it_does_not_end_it_while_another_one_takes_it() -> None:
    worker = Several("a", "b")
    worker.welcome("a")
    worker.answer("b")
    worker.hear("b", m.Rejected("bring both to the same release"))
    assert worker.hung_up == [worker.peers["b"]]
    assert worker.core.welcomed


def test_a_coordinator_that_rejects_it_does_not_end_it_while_calls_run() -> None:
    worker = Several("a")
    worker.welcome("a")
    worker.deliver("a", "1")
    worker.core.lose(worker.peers["a"])
    worker.step(1.0)
    worker.answer("a", epoch="another")
    worker.hear("a", m.Rejected("there is no room"))
    assert worker.hung_up == [worker.peers["a"]] and not worker.rejected
    worker.run("1")
    worker.step(1.0)
    worker.answer("a", epoch="another")
    worker.hear("a", m.Rejected("there is no room"))
    assert "there is no room" in worker.rejected


def test_guarded_calls_that_have_not_started_are_nobodys_when_a_coordinator_without_a_journal_starts_anew() -> None:
    worker = Several("a")
    worker.welcome("a")
    worker.hear("a", m.Define([(2, CallSpec("add", acks_late=False))], []))
    worker.hear("a", m.Deliver(1, [Call("x", 2, b"", attempt=1)]))
    worker.core.lose(worker.peers["a"])
    # The same one still has it; of another one nobody knows whether somebody else has run it meanwhile
    worker.step(1.0)
    assert worker.welcome("a").held == [("x", 1)]
    worker.core.lose(worker.peers["a"])
    worker.step(1.0)
    assert worker.welcome("a", epoch="another").held == []
    assert not worker.core.held and not worker.core.leases.guarded


def test_what_has_not_started_of_a_coordinator_that_is_out_of_touch_for_long_is_dropped() -> None:
    worker = both()
    worker.hear("a", m.Define([(2, CallSpec("add", acks_late=False))], []))
    worker.deliver("a", "runs", "waits")
    worker.hear("a", m.Deliver(2, [Call("once", 2, b"", attempt=1)]))
    worker.core.ready.popleft()
    worker.deliver("b", "once", attempt=2)
    worker.core.lose(worker.peers["a"])
    worker.step(1.0)
    assert set(worker.core.held) == {"runs", "waits", "once"}
    # Others have got it by now, or it comes again
    assert worker.core.next_s() <= worker.now_s + 1.0
    worker.step(1.5)
    assert set(worker.core.held) == {"runs", "once"}
    # And what another coordinator has leased meanwhile need not wait for it
    assert [starting.attempts for starting in worker.take("b", m.Starting)] == [[("once", 2)]]
    assert worker.welcome("a").held == [("runs", 1)]


def test_a_coordinator_that_is_gone_for_good_costs_the_node_nothing_after_its_grace() -> None:
    worker = both()
    dropped: list[int] = []
    drop = worker.core.leases.drop_unstarted

    def note(number: int) -> None:
        dropped.append(number)
        drop(number)

    worker.core.leases.drop_unstarted = note  # type: ignore[method-assign]
    grace_s = worker.core.settings.liveness.grace_s
    for times in (1, 2):
        number = worker.session("a").number
        worker.core.lose(worker.peers["a"])
        worker.step(grace_s / 2)
        assert dropped == [number] * (times - 1)
        worker.step(grace_s)
        assert dropped == [number] * times
        for count in range(3):
            worker.deliver("b", f"{times}-{count}")
            worker.step(grace_s)
        assert dropped == [number] * times  # The calls of others are not gone through for it again.
        worker.step(worker.core.settings.liveness.lease_s)
        worker.welcome("a")
    assert [call.id for call, _ in worker.core.ready] == ["1-0", "1-1", "1-2", "2-0", "2-1", "2-2"]


def test_guarded_calls_of_a_coordinator_that_does_not_come_back_are_nobodys_after_a_grace() -> None:
    worker = both(concurrency=2)
    worker.hear("a", m.Define([(2, CallSpec("add", acks_late=False))], []))
    worker.hear("a", m.Deliver(1, [Call(each, 2, b"", attempt=1) for each in "xyz"]))
    worker.deliver("b", "x")
    worker.core.lose(worker.peers["a"])
    worker.step(1.0)
    assert worker.take("b", m.Starting) == [], "it may be back in a moment"
    worker.step(1.5)
    # Whoever has leased one as well may have it run, and the slots are free for others
    assert [each.attempts for each in worker.take("b", m.Starting)] == [[("x", 1)]]
    assert list(worker.core.held) == ["x"]
    worker.step(0.1)
    assert worker.session("b").capacity[0] == 2
