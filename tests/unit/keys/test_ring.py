"""The keys of a coordinator follow their file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actorq.errors import BadKey
from actorq.keys import KeyRing, Role
from actorq.keys import ring as ring_module
from actorq.keys.files import change, load_cluster_key, new_cluster_key, write_new


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_new(tmp_path / "cluster.key", new_cluster_key())
    return tmp_path / "cluster.key"


def test_a_ring_of_a_file_that_cannot_be_used_is_not_made(path: Path) -> None:
    path.chmod(0o644)
    with pytest.raises(BadKey):
        KeyRing(str(path))


def test_the_derived_keys_are_known(path: Path) -> None:
    ring = KeyRing(str(path))
    node, cluster = ring.grant(ring.key.node.public), ring.grant(ring.key.client.public)
    assert node is not None and node.role is Role.NODE
    assert cluster is not None and cluster.role is Role.CLIENT and cluster.may("control") and cluster.may("by-value")
    assert ring.grant("") is None and not ring.admit("", "")


def test_a_key_that_was_just_granted_is_let_in_at_once_and_one_that_was_removed_is_not(path: Path) -> None:
    ring = KeyRing(str(path))
    cluster, key = load_cluster_key(path).with_client("alice", Role.CLIENT, [])
    change(path, lambda _: cluster)
    assert ring.admit(key.pair.public, "10.0.0.7")
    assert ring.version == 2
    ring.refresh()
    assert ring.version == 2
    change(path, lambda cluster: cluster.without_client("alice"))
    ring.refresh()
    assert ring.version == 3 and ring.grant(key.pair.public) is None


def test_a_file_that_could_not_be_read_for_a_while_is_read_although_it_is_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, key = load_cluster_key(path).with_client("alice", Role.CLIENT, [])
    change(path, lambda _: cluster)
    ring = KeyRing(str(path))
    # Given a process without a descriptor left, just when a key is taken away
    change(path, lambda cluster: cluster.without_client("alice"))

    def fail(_: str) -> None:
        raise BadKey("too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(ring_module, "load_cluster_key", fail)
        assert ring.admit(key.pair.public, "10.0.0.7")
    assert not ring.admit(key.pair.public, "10.0.0.7")


@pytest.mark.parametrize("how", ["gone", "open to others", "damaged", "another secret"])
def test_a_file_that_cannot_be_used_any_more_changes_nothing_and_is_named(
    path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    ring = KeyRing(str(path))
    before = ring.key
    if how == "gone":
        path.unlink()
    elif how == "open to others":
        path.chmod(0o644)
    elif how == "damaged":
        path.write_text("{")
    else:
        path.unlink()
        write_new(path, new_cluster_key())
    ring.refresh()
    assert ring.version == 1 and ring.key == before and ring.admit(before.node.public, "")
    assert "the keys stay as they are" in caplog.text.lower() and os.fspath(path) in caplog.text
    caplog.clear()
    ring.refresh()
    assert not caplog.text, "said once"
