"""What the options of `actorq worker` about pools mean together."""

from __future__ import annotations

from typing import Any

import pytest

from actorq.client.embedded import cpu_count
from actorq.worker import supervisor
from actorq.worker.options import WorkerOptions
from tests.unit.cli.conftest import Run

TASKS = ("worker", "-A", "proj.tasks")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[WorkerOptions]:
    """The options of workers, instead of workers."""
    options: list[WorkerOptions] = []

    def run_supervisor(chosen: WorkerOptions) -> int:
        options.append(chosen)
        return 0

    monkeypatch.setattr(supervisor, "run_supervisor", run_supervisor)
    return options


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ([], ("green", None, 1)),
        (["-c", "7", "--processes", "2"], ("green", 7, 2)),
        (["-P", "gevent", "-c", "auto"], ("green", None, 1)),
        (["-P", "eventlet", "-c", "500"], ("green", 500, 1)),
        (["-P", "threads"], ("threads", min(32, cpu_count() + 4), 1)),
        (["-P", "threads", "-c", "8", "--processes", "3"], ("threads", 8, 3)),
        (["-P", "solo"], ("solo", 1, 1)),
        (["-P", "solo", "-c", "1", "--processes", "4"], ("solo", 1, 4)),
        (["-P", "prefork", "-c", "6"], ("solo", 1, 6)),
        (["-P", "processes", "--processes", "5"], ("solo", 1, 5)),
        (["-P", "prefork"], ("solo", 1, cpu_count())),
    ],
)
def test_pool_concurrency_and_processes(
    run: Run, started: list[WorkerOptions], arguments: list[str], shape: tuple[Any, ...]
) -> None:
    result = run(*TASKS, *arguments)
    assert result.exit_code == 0, result.output
    (options,) = started
    # None: as the settings of the application say, which the processes know.
    assert (options.pool, options.concurrency, options.processes) == shape


@pytest.mark.parametrize(
    ("arguments", "pool", "concurrency", "shape"),
    [
        ([], "threads", "8", ("threads", 8, 1)),
        ([], "prefork", "3", ("solo", 1, 3)),
        (["-P", "solo"], "threads", "", ("solo", 1, 1)),
        ([], "gevent", "8", ("green", None, 1)),
    ],
)
def test_what_the_command_line_leaves_open_the_environment_may_say(
    run: Run,
    started: list[WorkerOptions],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    pool: str,
    concurrency: str,
    shape: tuple[Any, ...],
) -> None:
    monkeypatch.setenv("ACTORQ_WORKER_POOL", pool)
    monkeypatch.setenv("ACTORQ_WORKER_CONCURRENCY", concurrency)
    result = run(*TASKS, *arguments)
    assert result.exit_code == 0, result.output
    (options,) = started
    assert (options.pool, options.concurrency, options.processes) == shape


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-P", "threds"], "did you mean 'threads'?"),
        (["-P", "solo", "-c", "4"], "say -P prefork -c 4"),
        (["-P", "prefork", "-c", "4", "--processes", "2"], "give -c or --processes, not both"),
        (["-c", "0"], "neither a number from 1 on nor auto"),
        (["-c", "many"], "neither a number from 1 on nor auto"),
        (["--max-memory-per-child", "lots"], "no size"),
        (["--max-memory-per-child", "0"], "no size"),
        (["--max-memory-per-child", "MiB"], "no size"),
        (["--max-tasks-per-child", "0"], "x>=1"),
    ],
)
def test_what_cannot_be_is_a_usage_error_that_says_what_to_do(
    run: Run, started: list[WorkerOptions], arguments: list[str], text: str
) -> None:
    result = run(*TASKS, *arguments)
    assert result.exit_code == 2 and text in result.stderr
    assert not started


@pytest.mark.parametrize(
    ("size", "count_bytes"),
    [
        ("200000", 200000 * 1024),
        ("200000k", 200000 * 1024),
        ("5KiB", 5 * 1024),
        ("300MiB", 300 * 1024**2),
        ("300MB", 300 * 1024**2),
        ("2g", 2 * 1024**3),
        ("500000000B", 500_000_000),
    ],
)
def test_a_size_is_in_kib_or_has_a_unit(run: Run, started: list[WorkerOptions], size: str, count_bytes: int) -> None:
    run(*TASKS, "--max-memory-per-child", size, "--max-tasks-per-child", "9")
    assert (started[0].max_rss_bytes, started[0].max_calls) == (count_bytes, 9)


def test_options_of_celerys_that_tune_prefetching_are_taken_and_said_to_change_nothing(
    run: Run, started: list[WorkerOptions]
) -> None:
    result = run(*TASKS, "--prefetch-multiplier", "4", "--disable-prefetch", "-O", "fair", "-l", "info")
    assert result.exit_code == 0 and len(started) == 1
    for name in ("--prefetch-multiplier", "--disable-prefetch", "--optimization"):
        assert f"{name} changes nothing" in result.stderr
