"""Large workflows whose worker, or whose coordinator, is killed in the middle: the right result, and each body once.

In the middle is where one of the tasks waits at a gate. The gate opens only when the deed is done, so nothing that comes
after that task can have run before it: what runs twice then runs twice because of the mesh.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actorq import chain, chord, group
from tests.integration import tasks
from tests.integration.mesh import Mesh, kill, wait_for_workers
from tests.support import eventually

add, noted_add, noted_total, wait_at_gate = tasks.add, tasks.noted_add, tasks.noted_total, tasks.wait_at_gate
MEMBERS, STEPS, WIDTH = 10_000, 1_000, 10
RESULT_S = 60


class Scene:
    """Where the gate is, and what has run."""

    def __init__(self, directory: Path, victim: str, kill_victim: Callable[[int], None]) -> None:
        self.victim = victim
        self.gate = str(directory / "gate")
        self.notes = str(directory / "notes")
        self._kill_victim = kill_victim

    def kill_in_the_middle(self) -> None:
        """When the task has come to the gate, kill the victim; then open the gate."""
        here = Path(self.gate)
        pid = int(eventually(lambda: here.exists() and here.read_text(), 30, "a task at the gate"))
        self._kill_victim(pid)
        Path(f"{self.gate}.open").touch()

    def counts(self) -> Counter[str]:
        """How often each has run."""
        path = Path(self.notes)
        return Counter(path.read_text().splitlines() if path.exists() else [])


@pytest.fixture(params=["worker", "coordinator"])
def scene(request: pytest.FixtureRequest, mesh: Mesh, tmp_path: Path) -> Iterator[Scene]:
    """A mesh with two worker processes and a journal, and whom to kill."""

    def start_coordinator() -> None:
        data = str(tmp_path / "data")
        mesh.coordinator = mesh.nodes.start("coordinator", "--listen", mesh.address, "--data", data)

    def kill_coordinator(_: int) -> None:
        assert mesh.coordinator is not None
        kill(mesh.coordinator.pid)
        mesh.coordinator.wait()
        start_coordinator()

    start_coordinator()
    assert mesh.coordinator is not None
    mesh.coordinator.wait_for_output("listens on")  # A client gives up sooner on a machine that has much to do.
    mesh.start_worker("--processes", "2", "-c", "8")
    with mesh.client() as app:
        wait_for_workers(app, 2)
        yield Scene(tmp_path, request.param, kill if request.param == "worker" else kill_coordinator)


def result_of(flow: Any, scene: Scene) -> Any:
    result = flow.delay()
    scene.kill_in_the_middle()
    return result.get(timeout=RESULT_S)


@pytest.mark.slow
def test_the_body_of_a_chord_of_ten_thousand_runs_once(scene: Scene) -> None:
    header = [add.s(number, 0) for number in range(MEMBERS)]
    header[MEMBERS // 2] = wait_at_gate.s(MEMBERS // 2, scene.gate)
    assert result_of(chord(header, noted_total.s(scene.notes, "body")), scene) == sum(range(MEMBERS))
    assert scene.counts() == {"body": 1}


@pytest.mark.slow
def test_no_step_of_a_chain_of_a_thousand_is_lost_or_done_twice(scene: Scene) -> None:
    steps: list[Any] = [noted_add.s(1, scene.notes) for _ in range(STEPS - 1)]
    steps[STEPS // 2] = wait_at_gate.s(scene.gate)
    assert result_of(chain(noted_add.s(0, 1, scene.notes), *steps), scene) == STEPS - 1
    done = [str(number) for number in range(STEPS - 1)]
    assert scene.counts() == Counter(done)


@pytest.mark.slow
def test_each_body_of_ten_times_ten_times_ten_nested_groups_and_chords_runs_once(scene: Scene) -> None:
    def leaf(*place: int) -> Any:
        number = int("".join(map(str, place)))
        return wait_at_gate.s(number, scene.gate) if number == 555 else add.s(number, 0)

    def body(name: str) -> Any:
        return noted_total.s(scene.notes, name)

    def inner(i: int, j: int) -> Any:
        return group(leaf(i, j, k) for k in range(WIDTH)) | body(f"{i}{j}")

    def middle(i: int) -> Any:
        return chord([inner(i, j) for j in range(WIDTH)], body(f"{i}"))

    flow = group(middle(i) for i in range(WIDTH)) | body("all")
    assert result_of(flow, scene) == sum(range(WIDTH**3))
    names = [f"{i}{j}" for i in range(WIDTH) for j in range(WIDTH)] + [f"{i}" for i in range(WIDTH)] + ["all"]
    counts, rerun = scene.counts(), set(names) - {"55", "5", "all"}
    if scene.victim == "worker":  # Of what does not wait for the gate it may have had some in its hands.
        counts = Counter({name: 1 if name in rerun and count == 2 else count for name, count in counts.items()})
    assert counts == Counter(names)
