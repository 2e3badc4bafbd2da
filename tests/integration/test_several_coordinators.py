"""A mesh with several coordinators: all workers serve all of them, clients go from one to the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actorq import ActorQ
from tests.integration import tasks
from tests.integration.mesh import APP, kill
from tests.support import NodeProcess, Nodes, eventually, free_address


class Coordinators:
    """Coordinators `a`, `b` and so on: each but the first joins the first one."""

    def __init__(self, nodes: Nodes, count: int) -> None:
        self.nodes = nodes
        self.names = [chr(ord("a") + index) for index in range(count)]
        self.addresses = {name: free_address() for name in self.names}
        self.processes: dict[str, NodeProcess] = {}
        for name in self.names:
            self.start(name)

    def start(self, name: str, *options: str) -> None:
        join = [] if name == "a" else ["--join", self.addresses["a"]]
        command = ["coordinator", "-n", name, "--listen", self.addresses[name], *join, *options]
        self.processes[name] = self.nodes.start(*command)
        self.processes[name].wait_for_output("listens on")

    def kill(self, name: str) -> None:
        kill(self.processes[name].pid)
        self.processes[name].wait()

    def start_worker(self, *options: str, seed: str = "a") -> NodeProcess:
        return self.nodes.start("worker", "-A", APP, "-u", self.addresses[seed], *options)


@pytest.fixture
def three(nodes: Nodes) -> Coordinators:
    return Coordinators(nodes, 3)


@pytest.fixture
def app(three: Coordinators) -> Iterator[ActorQ]:
    app = tasks.app
    app.close()
    app.url = three.addresses["a"]
    try:
        yield app
    finally:
        app.close()


def stats(app: ActorQ) -> dict[str, dict[str, object]]:
    return dict(app.control.inspect(timeout=5.0).coordinator())


def wait_until_known(app: ActorQ, workers: int, coordinators: int = 3) -> None:
    """Wait until each coordinator is known to each other one, and so are the workers to all."""

    def is_complete() -> bool:
        found = stats(app)
        return len(found) == coordinators and all(
            len(each["workers"]) == workers  # type: ignore[arg-type]
            and sum(other["in_touch"] for other in each["coordinators"]) == coordinators - 1  # type: ignore[attr-defined]
            for each in found.values()
        )

    eventually(is_complete, 30, f"{coordinators} coordinators that know each other and {workers} workers")


def test_who_knows_one_coordinator_gets_to_know_all(three: Coordinators, app: ActorQ) -> None:
    three.start_worker("--processes", "2", seed="c")
    wait_until_known(app, workers=2)
    assert set(stats(app)) == {"a", "b", "c"}


def test_a_client_goes_on_with_another_coordinator_that_it_was_never_told_of(three: Coordinators, app: ActorQ) -> None:
    three.start_worker("--processes", "2", seed="b")
    wait_until_known(app, workers=2)
    results = [tasks.add.delay(number, 1) for number in range(2000)]
    # When its coordinator is killed, the only one in its URL, in the middle of it
    three.kill("a")
    results += [tasks.add.delay(number, 1) for number in range(2000, 4000)]
    # Then what was not settled runs elsewhere, and all goes on
    assert app.gather(*results, timeout=60) == list(range(1, 4001))
    assert set(stats(app)) == {"b", "c"}


def test_the_results_of_a_call_are_found_whichever_coordinator_has_them(three: Coordinators, app: ActorQ) -> None:
    three.start_worker("-Q", "default,slow")
    wait_until_known(app, workers=1)
    result = tasks.add.delay(2, 3)
    assert result.get(timeout=30) == 5
    slow = tasks.nap.delay(1.0)
    other = ActorQ("other", url=three.addresses["c"])
    try:
        # Both what has settled before, and what settles later
        assert other.AsyncResult(result.id).get(timeout=30) == 5
        assert other.AsyncResult(slow.id).get(timeout=30) == 1.0
        assert other.AsyncResult(result.id).state == "SUCCESS"
    finally:
        other.close()


def test_a_call_is_revoked_whichever_coordinator_hears_of_it(three: Coordinators, app: ActorQ) -> None:
    three.start_worker("-c", "1", "-Q", "default,slow")
    wait_until_known(app, workers=1)
    nap = tasks.nap.delay(60.0)
    waiting = tasks.add.delay(1, 1)
    other = ActorQ("other", url=three.addresses["b"])
    try:
        other.control.revoke([waiting.id], timeout=5.0)
        other.control.revoke([nap.id], terminate=True, timeout=5.0)
    finally:
        other.close()
    for each in (waiting, nap):
        eventually(lambda each=each: each.state == "REVOKED", 30, "the call to be revoked")  # type: ignore[misc]


def test_a_coordinator_that_comes_back_is_part_of_the_mesh_again(three: Coordinators, app: ActorQ) -> None:
    three.start_worker(seed="b")
    app.url = three.addresses["b"]
    wait_until_known(app, workers=1)
    three.kill("c")
    three.start("c")
    wait_until_known(app, workers=1)


def test_a_coordinator_that_is_drained_hands_its_calls_to_another_one_and_ends(
    three: Coordinators, app: ActorQ
) -> None:
    # Given calls of every kind at the first coordinator: running, waiting, to come later, and one that has settled
    three.start_worker("-c", "2", "-Q", "default,slow", seed="b")
    wait_until_known(app, workers=1)
    done = tasks.add.delay(1, 1)
    assert done.get(timeout=30) == 2
    naps = [tasks.nap.delay(0.5) for _ in range(6)]
    later = tasks.add.apply_async((2, 2), countdown=3.0)
    nobodys = app.send_task("nobody.offers.this")
    # When it is drained
    replies = app.control.drain_coordinator("a", timeout=5.0)
    assert "leaves the mesh" in replies["a"]["ok"]
    assert three.processes["a"].wait(30) == 0
    # Then all of them end, at those that are left, which do not know it any more
    assert app.gather(*naps, timeout=60) == [0.5] * 6
    assert later.get(timeout=30) == 4
    assert app.AsyncResult(done.id).get(timeout=30) == 2
    assert nobodys.state == "PENDING"
    assert set(stats(app)) == {"b", "c"}
