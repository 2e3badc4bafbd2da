"""`docs/limits.md` says what is bounded: every metric, settings and tests that exist, and the defaults."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from actorq.config import ClientSettings, CoordinatorSettings, WorkerSettings
from tests.support import REPOSITORY
from tests.unit.coordinator.support import Bench
from tests.unit.worker.core_support import Bench as WorkerBench

TEXT = (REPOSITORY / "docs" / "limits.md").read_text()
SETTINGS = {
    field.name: field.default
    for settings in (CoordinatorSettings, WorkerSettings, ClientSettings)
    for field in fields(settings)
}


def rows(section: str) -> list[list[str]]:
    """The cells of the table in a section, without its head."""
    table = TEXT.split(f"## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def names_in(cell: str) -> set[str]:
    return set(re.findall(r"`([\w./]+)`", cell))


@pytest.mark.parametrize(
    ("section", "metrics"),
    [("A coordinator", Bench().core.stats()["limits"]), ("A worker", WorkerBench().core.usage())],
    ids=["coordinator", "worker"],
)
def test_every_metric_has_its_row(section: str, metrics: dict[str, object]) -> None:
    documented = {name for row in rows(section) for name in names_in(row[4])}
    assert set(metrics) <= documented


@pytest.mark.parametrize("section", ["A coordinator", "A client", "A worker"])
def test_settings_are_there(section: str) -> None:
    unknown = {name for row in rows(section) for name in names_in(row[1]) if name.islower() and "/" not in name}
    assert unknown <= set(SETTINGS)


@pytest.mark.parametrize("section", ["A coordinator", "A client", "A worker"])
def test_numbers_without_a_unit_are_the_defaults(section: str) -> None:
    for row in rows(section):
        [*names] = re.findall(r"`(\w+)`", row[1])
        if len(names) == 1 and names[0] in SETTINGS and re.fullmatch(r"[\d,]+", row[2]):
            assert int(row[2].replace(",", "")) == SETTINGS[names[0]], names[0]


@pytest.mark.parametrize("section", ["A coordinator", "A message", "A client", "A worker"])
def test_the_tests_are_there(section: str) -> None:
    for row in rows(section):
        for name in names_in(row[-1]):
            places = (REPOSITORY / "tests" / name, REPOSITORY / "tests" / "unit" / name)
            assert any(path.is_file() for path in places), name
