"""`local://`: a mesh inside one program, for as long as the program lives."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from actorq import ActorQ, Exchange, Queue
from actorq.errors import ImproperlyConfigured, NotRegistered
from tests.support import REPOSITORY, NodeProcess, Nodes, eventually

URL = "local://?processes=2&concurrency=4"

TASKS = f"""
import os
from actorq import ActorQ

app = ActorQ("jobs", url={URL!r})
calls = []

@app.task
def add(x, y):
    return x + y

@app.task
def twice(x):
    return add.delay(x, x).get(timeout=20)

@app.task(bind=True, queue="counting")
def count(self):
    calls.append(self.name)  # A list of the module's: by value, each worker would get a copy for each function.
    return [self.name, len(calls), calls is __import__("jobs").calls]

@app.task(max_deliveries=1)
def die():
    os.kill(os.getpid(), 9)
"""
"""A module with tasks that a program imports."""

PLAIN = """
import os
from jobs import add, app, count, twice
assert add.delay(2, 3).get(timeout=20) == 5
assert twice.delay(4).get(timeout=20) == 8
name, calls, is_of_module = count.delay().get(timeout=20)
assert name == "jobs.count" and calls >= 1 and is_of_module
assert app.send_task("jobs.add", (1, 2)).get(timeout=20) == 3
assert sorted(app.map(lambda x: x * x, range(10))) == [x * x for x in range(10)]

@app.task
def late(x):
    return helper(x) + add.delay(x, 1).get(timeout=20)

def helper(x):
    return 100 * x

assert late.delay(1).get(timeout=20) == 102
print("done", flush=True)
"""

PATCHED = "from gevent import monkey\nmonkey.patch_all()\n" + PLAIN

ASYNCIO = """
import asyncio
from jobs import add

async def main():
    assert await add.delay(2, 3) == 5
    assert await asyncio.gather(*[add.delay(i, 1) for i in range(100)]) == list(range(1, 101))

asyncio.run(main())
print("done")
"""

FORKED = """
import os
from jobs import add, app
assert add.delay(2, 3).get(timeout=20) == 5
pid = os.fork()
if pid == 0:
    status = 1
    try:
        assert add.delay(20, 22).get(timeout=20) == 42
        app.close()
        status = 0
    finally:
        os._exit(status)
assert os.waitpid(pid, 0)[1] == 0
assert add.delay(3, 3).get(timeout=20) == 6, "the child has ended its parent's mesh"
print("done")
"""

AGAIN = """
from actorq import ActorQ
app = ActorQ(url="local://?processes=1")

@app.task
def add(x, y):
    return x + y

for i in range(2):
    with app:
        assert add.delay(i, 1).get(timeout=20) == i + 1
print("done")
"""

WAITING = """
import sys, time
from jobs import add
assert add.delay(2, 3).get(timeout=20) == 5
print("ready", flush=True)
sys.stdin.read()
time.sleep(600)
"""

WORKFLOWS = """
from actorq import chain, chord, group
from jobs import add, app

@app.task
def total(values):
    return sum(values)

assert (add.s(1, 1) | group(add.s(1), add.s(2)) | total.s() | add.s(1)).delay().get(timeout=20) == 8
assert chord([add.s(i, i) for i in range(10)])(total.s()).get(timeout=20) == 90
assert (add.s(1, 1) | group(add.s(1), add.s(2))).delay().get(timeout=20) == [3, 4]
assert total.map([[1, 2], [3]]).delay().get(timeout=20) == [3, 3]
assert add.starmap([(1, 2), (3, 4)]).delay().get(timeout=20) == [3, 7]
assert add.chunks([(1, 2), (3, 4)], 1)().get(timeout=20) == [[3], [7]]
print("done")
"""

Program = Callable[..., NodeProcess]


@pytest.fixture
def start(nodes: Nodes, tmp_path: Path) -> Program:
    """Starts a program beside the modules `jobs` and `forms`, in another directory, with a directory for temporary files."""
    (tmp_path / "program").mkdir()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "program" / "jobs.py").write_text(TASKS)

    def start(source: str, forms: str = "") -> NodeProcess:
        (tmp_path / "program" / "forms.py").write_text(forms)
        path = tmp_path / "program" / "main.py"
        path.write_text(source)
        return nodes.start_command(
            sys.executable, str(path), env={"TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": str(REPOSITORY)}
        )

    return start


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(PLAIN, id="plain"),
        pytest.param(PATCHED, id="patched by gevent"),
        pytest.param(ASYNCIO, id="asyncio"),
        pytest.param(FORKED, id="after a fork"),
        pytest.param(WORKFLOWS, id="workflows"),
        pytest.param(AGAIN, id="closed and used again"),
    ],
)
def test_a_program_needs_nothing_but_the_url(start: Program, nodes: Nodes, tmp_path: Path, program: str) -> None:
    running = start(program)
    assert running.wait() == 0
    # Then it has said nothing but its own words, and has left nothing behind.
    assert running.output() == "done\n"
    eventually(lambda: not nodes.alive(), what="the end of all processes of the mesh")
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_mesh_ends_with_its_program_however_that_ends(
    start: Program, nodes: Nodes, tmp_path: Path, number: signal.Signals
) -> None:
    program = start(WAITING)
    program.wait_for_output("ready")
    assert len(nodes.alive()) == 5  # The program, the keeper, the coordinator, two workers.
    program.signal(number)
    program.wait()
    eventually(lambda: not nodes.alive(), what="the end of all processes of the mesh")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_mesh_ends_with_its_program_though_a_forked_child_lives_on(start: Program, nodes: Nodes) -> None:
    program = start(WAITING.replace("print(", "import os\nif os.fork() == 0: time.sleep(600)\nprint("))
    program.wait_for_output("ready")
    program.signal(signal.SIGKILL)
    program.wait()
    eventually(lambda: len(nodes.alive()) == 1, what="the end of all processes of the mesh")


def test_only_this_user_reaches_the_coordinator(start: Program, tmp_path: Path) -> None:
    start(WAITING).wait_for_output("ready")
    (directory,) = (tmp_path / "tmp").iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700


def test_the_keeper_and_all_others_end_when_the_keeper_is_killed(start: Program, nodes: Nodes) -> None:
    program = start(WAITING)
    program.wait_for_output("ready")
    (keeper,) = psutil.Process(program.pid).children()
    keeper.kill()
    eventually(lambda: [each.pid for each in nodes.alive()] == [program.pid], what="the end of the mesh")


def test_what_has_not_ended_with_the_program_is_counted(start: Program) -> None:
    program = start("import time\nfrom jobs import app\n[app.submit(time.sleep, 60) for _ in range(5)]\nprint('end')")
    program.wait(timeout_s=30)
    program.wait_for_output("calls that have not ended, and end with the mesh of this program: 5.")


def test_a_module_that_calls_tasks_while_a_worker_imports_it_is_told_so(start: Program) -> None:
    """Without a guard each worker would submit as the program does, and wait for itself."""
    program = start("import forms", TASKS + "\nprint(add.delay(1, 2).get(timeout=20))\n")
    program.wait(timeout_s=30)
    program.wait_for_output(
        "cannot be loaded here: ImproperlyConfigured: forms calls tasks, or asks the mesh, while a worker"
    )


def test_what_is_meant_for_each_worker_reaches_all_from_the_start(start: Program) -> None:
    program = start(
        """
from jobs import add, app
print(len(app.control.ping()), "answered")
print(len(add.broadcast(1, 2).get(timeout=20)), "ran it", flush=True)
"""
    )
    program.wait_for_output("2 answered\n2 ran it", 60)


def test_a_worker_or_a_coordinator_that_dies_is_replaced(start: Program) -> None:
    program = start(
        """
import psutil
from tests.support import eventually
from actorq.errors import WorkerLostError
from jobs import add, app, die
try:
    die.delay().get(timeout=30)
except WorkerLostError:
    pass
def stats():
    (answer,) = app.control.inspect(timeout=5).coordinator().values()
    return answer

def ready():
    return sorted(each["pid"] for each in stats()["workers"] if each["state"] == "ready")

eventually(lambda: len(ready()) == 2)
epoch = stats()["epoch"]
(keeper,) = psutil.Process().children()
(coordinator,) = [each for each in keeper.children() if "actorq.coordinator.node" in each.cmdline()]
coordinator.kill()
assert add.delay(3, 3).get(timeout=30) == 6
assert stats()["epoch"] != epoch
print("coordinator replaced", flush=True)
"""
    )
    program.wait_for_output("coordinator replaced", 60)


# -- in this program: nothing is started ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("local://?process=2", "no option 'process': did you mean 'processes'?"),
        ("local://?colour=red", "known are processes, concurrency, queues"),
        ("local://?processes=0", "takes a whole number from 1 on"),
        ("local://?concurrency=many", "takes a whole number from 1 on"),
    ],
)
def test_options_that_cannot_be_used_say_what_can(url: str, text: str) -> None:
    app = ActorQ(url=url)
    with pytest.raises(ImproperlyConfigured, match=text.replace("?", r"\?")):
        app.submit(os.getpid)
    assert not psutil.Process().children()


def test_a_task_that_is_not_registered_is_an_error_and_does_not_wait_for_ever() -> None:
    app = ActorQ(url="local://")
    with pytest.raises(NotRegistered, match=r"no task 'jobs\.ad'"):
        app.send_task("jobs.ad", (1, 2))


# -- one mesh for the rest -----------------------------------------------------------------------------------------


def test_queues_are_those_of_the_tasks_and_of_the_url() -> None:
    app = ActorQ(url="local://?processes=1&queues=default,extra")

    @app.task(queue="fast")
    def name() -> str | None:
        return name.request.queue

    with app:
        for queue in ("fast", "extra", "default"):
            assert name.apply_async(queue=queue).get(timeout=20) == queue
        with pytest.raises(ImproperlyConfigured, match=r"not for 'slow'.*queues=default,slow"):
            name.apply_async(queue="slow")


def test_queues_are_those_of_the_settings_as_well() -> None:
    app = ActorQ(url="local://?processes=1")
    app.conf.task_queues = [Queue("default"), Queue("feeds", Exchange("news", "topic"), "feed.#")]
    app.conf.task_routes = {"*.routed": "routed"}

    @app.task
    def routed() -> str | None:
        return routed.request.queue

    with app:
        assert routed.delay().get(timeout=20) == "routed"
        assert routed.apply_async(exchange="news", routing_key="feed.sport").get(timeout=20) == "feeds"
        assert list(routed.broadcast().get(timeout=20).values()) == ["worker-1@local.dq"]


def test_a_program_without_a_python_to_start_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(ImproperlyConfigured, match=r"sys\.executable"):
        ActorQ(url="local://").submit(os.getpid)


FORMS = """
from actorq import ActorQ

app = ActorQ("forms", url="local://?processes=1")
app.serializers.register("shouting", lambda value: repr(value).upper().encode(), lambda data: eval(bytes(data).lower()))

@app.task(serializer="shouting")
def same(x):
    return x

@app.task(bind=True)
def go_on(self, x):
    self.replace(last.s(x))

@app.task
def last(x):
    return [x, app.conf.task_track_started, app.send_task("forms.same", (x,)).get(timeout=20)]
"""
"""A module with a serializer of its own."""


def test_its_workers_have_what_the_module_of_the_application_makes_of_it(start: Program, tmp_path: Path) -> None:
    program = start(
        """
from forms import app, go_on, same
app.conf.task_track_started = False
app.conf.accept_content = ["msgpack", "shouting"]
assert same.delay("abc").get(timeout=20) == "abc"
assert go_on.delay("x").get(timeout=20) == ["x", False, "x"]  # `last` was never called by this program.
assert set(app.control.inspect().registered()["worker-1@local"]) >= {"forms.same", "forms.last"}
print("done")
""",
        forms=FORMS,
    )
    assert program.wait() == 0
    assert program.output() == "done\n"


def test_a_module_that_cannot_be_imported_at_the_start_does_not_keep_other_calls_from_running(start: Program) -> None:
    program = start(
        """
import forms
from jobs import add
assert add.delay(2, 3).get(timeout=20) == 5
assert forms.app.submit(lambda: 4).get(timeout=20) == 4
try:
    forms.broken.delay().get(timeout=20)
except Exception as error:
    assert "only once" in str(error), error
print("done")
""",
        forms="""
import os
from actorq import ActorQ
app = ActorQ("forms", url="local://?processes=1")

@app.task
def broken(): ...

assert os.environ.setdefault("IMPORTED", str(os.getpid())) == str(os.getpid()), "only once"
""",
    )
    assert program.wait() == 0, program.tail()
    assert "forms:app cannot be imported at the start" in program.output()


def test_its_workers_open_what_the_application_accepts_and_declare_its_queues() -> None:
    app = ActorQ(url="local://?processes=1", accept_content=["msgpack", "yaml"])
    app.conf.task_queues = [Queue("default"), Queue("late", dead_letter_expired=True)]

    @app.task(serializer="yaml")
    def same(x: Any) -> Any:
        return x

    with app:
        assert same.delay([1]).get(timeout=20) == [1]
        assert [each[:3] for each in app.control.topology()] == [["queue", ["late"], {"dead_letter_expired": True}]]
