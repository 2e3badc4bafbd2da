"""Histories in files, and what a report makes of a run."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from tests.cluster import history
from tests.cluster.checker import History, judge
from tests.cluster.ledger import RECORD, Ledger
from tests.cluster.plan import Fault
from tests.cluster.report import GROWTH_CALLS, Report
from tests.cluster.scenarios import BY_NAME

CALLS = 2_000_000


def test_what_clients_have_written_is_read_by_kind(tmp_path: Path) -> None:
    before_s = time.monotonic()
    for client, calls in (("client-1", [1, 2]), ("client-2", [3])):
        ledger = Ledger(tmp_path, client)
        ledger.write("attempted", [*calls, 9])
        ledger.write("settled", calls)
        ledger.write("settled", [])
    numbers, times = history.read(tmp_path, "settled")
    assert numbers.tolist() == [1, 2, 3]
    assert history.read(tmp_path, "attempted")[0].tolist() == [1, 2, 9, 3, 9]
    assert history.count(tmp_path, "attempted") == 5
    assert ((before_s <= times) & (times <= time.monotonic())).all()


def test_of_what_nobody_has_written_there_is_nothing(tmp_path: Path) -> None:
    assert history.read(tmp_path, "wrong")[0].tolist() == []
    assert history.count(tmp_path, "wrong") == 0


def test_half_a_record_at_the_end_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "worker-1.executed").write_bytes(RECORD.pack(7, 1.0) + b"half")
    assert history.read(tmp_path, "executed")[0].tolist() == [7]
    assert history.count(tmp_path, "executed") == 1


def report(
    scenario: str = "workers",
    slow_s: float = 0.0,
    growth_bytes: float = 0.0,
    planned: int = 1,
    failures: tuple[str, ...] = (),
) -> Report:
    """Of 30 seconds with a fault after ten, after which it goes at half the speed for `slow_s`."""
    calls = np.arange(10, dtype=np.uint64)
    fast, late = np.arange(100.0, 111.0, 0.01), np.arange(111.0 + slow_s, 130.0, 0.01)
    samples = [(100.0 + n, n * CALLS // 10, int(10**8 + growth_bytes * n * CALLS / 10)) for n in range(11)]
    return Report(
        scenario=BY_NAME[scenario],
        size=BY_NAME[scenario].small,
        seed=1,
        verdict=judge(History(np.arange(CALLS, dtype=np.uint64), np.arange(CALLS, dtype=np.uint64), calls, calls)),
        faults=[Fault(10.0, 1.0, "kill worker")],
        planned=planned,
        began_s=100.0,
        healed_s=111.0,
        settled_s=np.concatenate([fast, np.arange(111.0, 111.0 + slow_s, 0.02), late]),
        memory={"worker-1 17": samples, "worker-1 18": samples[-2:]},
        failures=list(failures),
        logs={"worker-1": "12:00 WARNING actorq: a\n12:01 WARNING actorq: b\nTraceback (most recent call last):\n"},
    )


def test_it_is_as_fast_again_when_the_rate_of_before_the_fault_is_reached() -> None:
    found = report(slow_s=5.0)
    assert found.before_per_s == pytest.approx(100, rel=0.02)
    assert found.recovered_s() == pytest.approx(5.9, abs=0.2)
    assert found.recoveries_s() == [found.recovered_s()]
    assert found.shortfalls() == []


def test_to_be_slow_for_too_long_falls_short() -> None:
    (text,) = report(slow_s=11.0).shortfalls()
    assert "90% of 10" in text and "later" in text
    assert "never" in report(slow_s=19.0).shortfalls()[0]


def test_faults_that_did_not_happen_fall_short() -> None:
    assert report(planned=3).shortfalls() == ["the load was over after 1 of 3 faults"]


def test_only_where_memory_is_watched_it_is_a_violation_to_grow_with_each_call() -> None:
    assert report("soak", growth_bytes=3.0).growth() == {"worker-1 17": pytest.approx(3.0, rel=0.01)}
    assert not any("grows" in each for each in report("soak", growth_bytes=3.0).violations())
    assert "worker-1 17 grows by 5.0 bytes with each call" in report("soak", growth_bytes=5.0).violations()
    assert not any("grows" in each for each in report("workers", growth_bytes=5.0).violations())


def test_processes_that_were_there_for_few_calls_are_not_judged_by_their_growth() -> None:
    assert CALLS // 10 < GROWTH_CALLS
    assert "worker-1 18" not in report("soak", growth_bytes=5.0).growth()


def test_who_has_ended_by_himself_is_a_violation() -> None:
    assert report(failures=("worker-1 has ended",)).violations()[0] == "worker-1 has ended"


def test_a_report_is_a_table_for_people_and_json_for_programs() -> None:
    found = report()
    assert "lost            1,999,990" in found.table()
    assert "VIOLATED        1,999,990 calls lost" in found.table()
    assert "1 × Traceback, 2 × WARNING" in found.table()
    again = json.loads(json.dumps(found.to_json()))
    assert again["verdict"]["settled"] == "10"
    assert again["settled_per_second"][:3] == [100, 100, 100]
