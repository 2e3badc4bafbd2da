"""Without a key nobody is led to another host."""

from __future__ import annotations

import pytest

from actorq.policies.addresses import can_be_called
from actorq.policies.directory import Directory

HERE, ELSEWHERE = "tcp://127.0.0.1:5571", "tcp://10.0.0.5:5570"


@pytest.mark.parametrize("address", [HERE, "tcp://localhost:5570", "tcp://[::1]:5570", "ipc:///run/coordinator"])
def test_what_is_on_this_host_can_be_called(address: str) -> None:
    assert can_be_called(address, loopback_only=True)


@pytest.mark.parametrize("address", [ELSEWHERE, "tcp://coordinator:5570", "tcp://0.0.0.0:5570"])
def test_what_may_be_on_another_one_cannot(address: str) -> None:
    assert can_be_called(address) and not can_be_called(address, loopback_only=True)


@pytest.mark.parametrize(("loopback_only", "dialled"), [(True, [HERE]), (False, [HERE, ELSEWHERE])])
def test_coordinators_elsewhere_that_others_name_are_dialled_with_a_key_only(
    loopback_only: bool, dialled: list[str]
) -> None:
    directory = Directory([], "jitter", 0.0, loopback_only)
    directory.learn(None, [(HERE, "a"), (ELSEWHERE, "b")], [], 0.0)
    assert directory.due(0.0) == dialled
