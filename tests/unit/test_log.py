"""Warnings that peers bring about do not fill the disk."""

from __future__ import annotations

import logging

import pytest

from actorq.log import Sparse


def test_the_same_warning_comes_once_in_a_period_and_few_come_in_all(caplog: pytest.LogCaptureFixture) -> None:
    sparse = Sparse(logging.getLogger("test"), burst=3, period_s=60.0)
    for _ in range(5):
        sparse.warning(100.0, "peer %s", "a")
    for name in "bcde":
        sparse.warning(110.0, "peer %s", name)
    assert [record.getMessage() for record in caplog.records] == ["peer a", "peer b", "peer c"]
    caplog.clear()
    sparse.warning(161.0, "peer %s", "a")
    assert [record.getMessage() for record in caplog.records] == ["6 more such warnings were left out", "peer a"]
