"""`docs/guarantees.md` names tests that are there, and checks of the simulation that are made."""

from __future__ import annotations

import re

import pytest

from tests.simulation import oracle
from tests.support import REPOSITORY

TEXT = (REPOSITORY / "docs" / "guarantees.md").read_text()
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)))
CHECKS = sorted({name.strip() for names in re.findall(r"`S` \(([^)]*)\)", TEXT) for name in names.split(",")})


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_each_test_that_is_named_is_there(path: str, name: str) -> None:
    text = (REPOSITORY / path).read_text()
    assert not name or re.search(rf"^def {name}\(", text, re.MULTILINE)


@pytest.mark.parametrize("name", CHECKS)
def test_each_check_of_the_simulation_that_is_named_is_described(name: str) -> None:
    assert name in (oracle.__doc__ or "")


def test_each_promise_is_shown_by_something() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("|") and not line.startswith("|---")]
    promises = [row.split("|")[1:-1] for row in rows if len(row.split("|")) == 6]
    shown = [cells[-1] for cells in promises if cells[-1].strip() != "shown by"]
    assert shown and all("`" in each for each in shown)
