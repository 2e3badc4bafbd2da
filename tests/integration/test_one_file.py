"""A program in one file: its tasks are of `__main__`, which no worker can import, and work there as in a module."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.integration.mesh import Mesh
from tests.support import NodeProcess, Nodes

PROGRAM = """
import sys
import threading

from actorq import ActorQ, chain, chord, current_app, current_task, shared_task, signature

app = ActorQ(url=sys.argv[1])
lock = threading.Lock()

@app.task
def add(x, y=1):
    return x + y

@app.task
def total(values):
    return sum(values)

@app.task(bind=True)
def power(self, base, exponent):
    return 1 if exponent == 0 else self.replace(chain(power.s(base, exponent - 1), times.s(base)))

@app.task
def times(x, y):
    return x * y

@app.task(bind=True)
def many(self, n):
    self.replace(chord([add.s(i) for i in range(n)], total.s()))

@app.task
def who():
    return [current_task.name, current_task.request.id]

@app.task(bind=True)
def by_name(self):
    assert self is self.app.tasks[self.name]
    named = self.app.send_task("__main__.add", (1, 2)).get(timeout=20)
    return [named, self.app.signature("__main__.total", ([3, 4],)).delay().get(timeout=20)]

@app.task
def of_app():
    return app.tasks["__main__.add"].delay(5).get(timeout=20)

@app.task
def run(data):
    return signature(data, app=app).delay().get(timeout=20)

@app.task
def depth(n, found=0):
    return found if n == 0 else depth.delay(n - 1, found=found + 1).get(timeout=20)

@shared_task
def shared(x):
    return add.delay(x).get(timeout=20)

@app.task
def holds_a_lock():
    return lock.locked()

if __name__ == "__main__":
    assert power.delay(2, 3).get(timeout=20) == 8
    assert many.delay(4).get(timeout=20) == 10
    called = who.delay()
    assert called.get(timeout=20) == ["__main__.who", called.id]
    assert by_name.delay().get(timeout=20) == [3, 7]
    assert of_app.delay().get(timeout=20) == 6
    assert run.delay(dict(add.s(1, 2))).get(timeout=20) == 3
    assert depth.delay(3).get(timeout=20) == 3
    assert shared.delay(1).get(timeout=20) == 2
    assert app.submit(lambda: add.delay(1, 2).get(timeout=20)).get(timeout=20) == 3
    assert add.map([1, 2]).delay().get(timeout=20) == [2, 3]
    assert list(app.map(add, range(3))) == [1, 2, 3]
    try:
        holds_a_lock.delay()
    except Exception as error:
        assert "holds_a_lock.<global>.lock" in str(error)

    @app.task(bind=True)
    def late(self):
        self.replace(self.app.signature("__main__.total", ([1, 2],)))

    assert late.delay().get(timeout=20) == 3
    assert add.delay(1).get(timeout=20) == 2
    print("done")
"""

CHANGED = """
import sys
from actorq import ActorQ

app = ActorQ(url=sys.argv[1])

@app.task
def ask(x):
    return app.send_task("__main__.answer", (x,)).get(timeout=20)

@app.task
def answer(x):
    return x + {}

if __name__ == "__main__":
    print("answer", ask.delay(1).get(timeout=20))
"""


def run(nodes: Nodes, path: Path, source: str, url: str) -> NodeProcess:
    path.write_text(source)
    return nodes.start_command(sys.executable, str(path), url)


@pytest.fixture
def remote(mesh: Mesh) -> str:
    """The address of a mesh whose workers have no application."""
    mesh.start_coordinator()
    mesh.nodes.start("worker", "-u", mesh.address, "-c", "10", "--processes", "2")
    return mesh.address


@pytest.mark.parametrize("where", ["inside the program", "workers elsewhere"])
def test_tasks_of_one_file_work_as_in_a_module(
    nodes: Nodes, tmp_path: Path, request: pytest.FixtureRequest, where: str
) -> None:
    url = "local://?processes=2" if where == "inside the program" else request.getfixturevalue("remote")
    program = run(nodes, tmp_path / "one_file.py", PROGRAM, url)
    assert program.wait(60.0) == 0, program.tail()
    assert program.output() == "done\n"


def test_a_program_that_was_changed_does_not_find_what_it_was_before(nodes: Nodes, tmp_path: Path, remote: str) -> None:
    for number in (1, 2):
        program = run(nodes, tmp_path / "changed.py", CHANGED.format(number), remote)
        assert program.wait(60.0) == 0, program.tail()
        assert program.output() == f"answer {1 + number}\n"


def test_workers_send_to_the_mesh_that_they_serve_whatever_its_client_calls_it(
    nodes: Nodes, tmp_path: Path, remote: str
) -> None:
    source = CHANGED.format(1) + f"    print(app.submit(lambda: app.url).get(timeout=20) == {remote!r})\n"
    program = run(nodes, tmp_path / "elsewhere.py", source, remote.replace("127.0.0.1", "localhost"))
    assert program.wait(60.0) == 0, program.tail()
    assert program.output() == "answer 2\nTrue\n"
