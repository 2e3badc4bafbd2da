"""Workers go by the settings of their application, and announce what happens to them."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import announced_tasks
from tests.integration.announced_tasks import add, nap
from tests.support import NodeProcess, Nodes, eventually

APP = "tests.integration.announced_tasks"
Start = Callable[..., NodeProcess]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "signals.log"


@pytest.fixture
def start(nodes: Nodes, address: str, log: Path) -> Iterator[Start]:
    """Starts a worker of the application, beside a coordinator."""
    nodes.start("coordinator", "--listen", address).wait_for_output("listens")
    app = announced_tasks.app

    def start_worker(*options: str, env: dict[str, str] | None = None) -> NodeProcess:
        all_env = {"ACTORQ_URL": address, "ACTORQ_TEST_SIGNALS": str(log), **(env or {})}
        return nodes.start("worker", "-A", APP, "-n", "node@here", *options, env=all_env)

    app.close()
    app.url = address
    yield start_worker
    app.close()


def announced(log: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """What was announced: the signal, its sender, and some of what it brought."""
    return [tuple(json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


def pool_of() -> dict[str, Any]:
    def answered() -> dict[str, Any] | None:
        return announced_tasks.app.control.inspect(timeout=2.0).stats().get("node@here")

    stats = eventually(answered, 20.0)
    assert stats is not None
    pool: dict[str, Any] = stats["pool"]
    return pool


def test_a_worker_goes_by_the_settings_of_its_application(start: Start) -> None:
    worker = start("-l", "INFO")
    result = add.delay(1, 2)
    assert result.get(timeout=20) == 3
    assert pool_of()["max-concurrency"] == 3
    assert result.outcome is not None and result.outcome.content == "json"
    worker.wait_for_output("CONFIGURED Task tests.integration.announced_tasks.add")


def test_the_command_line_goes_before_the_settings_and_a_file_before_the_environment(
    start: Start, tmp_path: Path
) -> None:
    config = tmp_path / "conf.toml"
    config.write_text('[worker]\nprocesses = 2\nlog_level = "INFO"\n')
    worker = start("--config", str(config), "-c", "7", "-n", "node-%i@here", env={"ACTORQ_WORKER_PROCESSES": "1"})
    worker.wait_for_output("worker node-2@here")
    assert "concurrency: 7" in worker.output()
    assert add.delay(1, 2).get(timeout=20) == 3
    worker.wait_for_output("add[")


def test_a_setting_that_comes_too_late_is_said(nodes: Nodes, start: Start, tmp_path: Path) -> None:
    module = tmp_path / "late_config.py"
    module.write_text("worker_soft_shutdown_timeout = 1\n")
    worker = start("--config", "late_config", env={"PYTHONPATH": f"{tmp_path}"})
    worker.wait_for_output("worker_soft_shutdown_timeout does not hold")


def test_a_misspelt_setting_keeps_a_worker_from_starting(start: Start, tmp_path: Path) -> None:
    # With Celery it starts, and the setting does nothing.
    config = tmp_path / "conf.toml"
    config.write_text("worker_concurency = 2\n")
    worker = start("--config", str(config))
    assert worker.wait() == 78
    assert "did you mean 'worker_concurrency'?" in worker.output()


def test_a_workers_life_is_announced_from_its_start_to_its_end(start: Start, log: Path) -> None:
    worker = start()
    assert add.delay(1, 2).get(timeout=20) == 3
    eventually(lambda: "worker_ready" in [name for name, _, _ in announced(log)])
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    told = announced(log)
    names = [name for name, _, _ in told]
    setting_up = [
        *("celeryd_init", "after_setup_logger", "after_setup_task_logger", "import_modules", "on_after_finalize"),
        *("worker_init", "celeryd_after_setup", "worker_process_init"),
    ]
    assert names[: len(setting_up)] == setting_up
    around = [name for name in names if name.startswith("task_") and name != "task_received"]
    assert around == ["task_prerun", "task_success", "task_postrun"]
    assert names.count("worker_ready") == names.count("task_received") == 1
    assert names[-3:] == ["worker_shutting_down", "worker_process_shutdown", "worker_shutdown"]
    assert told[-3][1:] == ("node@here", {"sig": "SIGTERM", "how": "Warm", "exitcode": "0"})
    assert [sender for name, sender, _ in told if name == "worker_init"] == ["node@here"]


def test_a_call_that_is_ended_while_it_runs_is_announced_as_revoked(start: Start, log: Path) -> None:
    start()
    result = nap.delay(60)
    eventually(lambda: "task_prerun" in [name for name, _, _ in announced(log)], 20.0)
    result.revoke(terminate=True)
    eventually(lambda: "task_postrun" in [name for name, _, _ in announced(log)], 20.0)
    told = {name: named for name, _, named in announced(log)}
    assert "task_revoked" in told and told["task_postrun"]["state"] == "REVOKED"


def test_an_embedded_mesh_has_the_settings_of_its_program(nodes: Nodes, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        """
from actorq import ActorQ
app = ActorQ("program", "local://", changes={"worker_concurrency": 2, "worker_processes": 1})
app.conf.task_default_queue = "elsewhere"

@app.task
def add(x, y):
    return x + y

if __name__ == "__main__":
    print("sum", add.delay(1, 2).get(timeout=20))
    (stats,) = app.control.inspect().stats().values()
    print("slots", stats["pool"]["max-concurrency"])
"""
    )
    node = nodes.start_command(sys.executable, str(program))
    assert node.wait(40.0) == 0, node.tail()
    assert "sum 3" in node.output() and "slots 2" in node.output()
