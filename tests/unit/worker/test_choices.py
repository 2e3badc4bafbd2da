"""What the settings say of a worker where its options say nothing, and what comes too late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actorq.errors import ImproperlyConfigured
from actorq.settings import Settings
from actorq.wire.records import CallSpec
from actorq.worker.choices import addresses_in, chosen, early_settings, too_late
from actorq.worker.jobs import Jobs
from actorq.worker.options import WorkerOptions
from tests.unit.worker.support import PlainApplication, job_of


def test_options_go_before_settings_and_these_before_defaults() -> None:
    settings = Settings(url="tcp://a:1,tcp://b:1", worker_concurrency=3, worker_queues=("q",), worker_by_value=False)
    left_open = chosen(WorkerOptions(), settings)
    assert (left_open.addresses, left_open.queues) == (("tcp://a:1", "tcp://b:1"), ("q",))
    assert (left_open.concurrency, left_open.by_value) == (3, False)
    said = WorkerOptions(addresses=("tcp://c:1",), queues=("r",), concurrency=4, by_value=True, key="")
    assert chosen(said, settings) == said
    assert chosen(WorkerOptions(), Settings()).concurrency == 100


def test_a_mesh_inside_a_program_cannot_be_joined() -> None:
    with pytest.raises(ImproperlyConfigured, match="inside one program"):
        addresses_in("local://")


def test_what_the_supervisor_needs_is_in_the_environment_or_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "conf.toml"
    path.write_text("worker_processes = 3\n")
    monkeypatch.setenv("ACTORQ_WORKER_LOG_LEVEL", "info")
    early = early_settings(str(path))
    assert (early.worker_processes, early.worker_log_level) == (3, "INFO")
    assert early_settings("some.module").worker_processes is None  # It is not imported.
    late = Settings(worker_processes=3, worker_log_level="DEBUG")
    assert too_late(late, early) == ["worker_log_level"]


@pytest.mark.parametrize(
    ("own", "settings", "limits"),
    [
        ({}, {"task_time_limit": 5, "task_soft_time_limit": 4}, (5, 4)),
        ({"time_limit_s": 9}, {"task_time_limit": 5, "task_soft_time_limit": 4}, (9, 4)),
        ({"time_limit_s": 2}, {"task_soft_time_limit": 4}, (2, 0)),
        ({"time_limit_s": 2}, {}, (2, 0)),
    ],
)
def test_a_workers_time_limits_hold_where_the_caller_says_none(
    own: dict[str, Any], settings: dict[str, Any], limits: tuple[float, float]
) -> None:
    application = PlainApplication({})
    application.conf.update(settings)
    jobs = Jobs(application)
    job = jobs.make(CallSpec("add", **own), None)
    assert (job.spec.time_limit_s, job.spec.soft_time_limit_s) == limits
    assert jobs.make(CallSpec("add", **own), None) is job
    assert jobs.tracks_start(job.spec)


def test_calls_are_tracked_from_their_start_unless_the_settings_say_otherwise() -> None:
    application = PlainApplication({})
    application.conf.task_track_started = False
    jobs = Jobs(application)
    assert not jobs.tracks_start(jobs.make(CallSpec("add"), None).spec)


def test_a_worker_may_send_results_in_another_way_than_it_got_the_arguments() -> None:
    def add(x: int, y: int) -> int:
        return x + y

    job = job_of(add)
    assert job._content == ""
    job._jobs.application.conf.result_serializer = "json"
    job.is_plain = False
    job.resolve()
    assert job._content == "json"
