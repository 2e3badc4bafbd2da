"""Key files: what they hold, who may read them, and what is said of those that cannot be used."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from actorq.errors import BadKey
from actorq.keys import CODE, CONTROL, ClientKey, ClusterKey, Role, load_cluster_key, load_key
from actorq.keys.files import change, new_cluster_key, write_new


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A new cluster's key file."""
    write_new(tmp_path / "cluster.key", new_cluster_key())
    return tmp_path / "cluster.key"


def add_client(path: Path, name: str, role: Role = Role.CLIENT, *rights: str) -> ClientKey:
    made: list[ClientKey] = []

    def add(cluster: ClusterKey) -> ClusterKey:
        changed, key = cluster.with_client(name, role, rights)
        made.append(key)
        return changed

    change(path, add)
    return made[0]


# -- derivation ----------------------------------------------------------------------------------------------------


def test_all_keys_of_nodes_follow_from_the_secret() -> None:
    one, same, other = ClusterKey(b"a" * 32), ClusterKey(b"a" * 32), ClusterKey(b"b" * 32)
    assert (one.node, one.client) == (same.node, same.client)
    assert len({one.node.secret, one.client.secret, other.node.secret, other.client.secret}) == 4


def test_the_keys_that_a_secret_gives_stay_the_same_for_ever() -> None:
    # Nodes of the next release have to find the same ones.
    assert ClusterKey(bytes(range(32))).node.public == NODE
    assert ClusterKey(bytes(range(32))).client.public == CLIENT


NODE = "<lwiWB@K-]Jc(rh&3.1sM<R/>M8Uhm@V-$F(S.nK"
CLIENT = "z91CR7pXF!(9)w}wXKpO}.FBXpdYqmP]5PeNAw@O"


def test_no_secret_is_shown(path: Path) -> None:
    key = load_cluster_key(path)
    assert key.secret.hex() not in repr(key) and repr(key.secret) not in repr(key)
    assert key.node.secret not in repr(key.node)


# -- writing and reading -------------------------------------------------------------------------------------------


def test_what_is_written_is_read_again_and_only_its_owner_can(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(path) == load_cluster_key(path)


def test_a_key_file_is_never_overwritten(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(BadKey, match="never overwritten"):
        write_new(path, new_cluster_key())
    assert path.read_bytes() == before


def test_a_file_that_was_not_written_whole_does_not_stand_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(BadKey, match="No space left"):
            write_new(tmp_path / "new.key", new_cluster_key())
    write_new(tmp_path / "new.key", new_cluster_key())
    load_cluster_key(tmp_path / "new.key")


def test_a_client_is_added_with_its_rights_and_gets_nothing_of_the_secret(path: Path, tmp_path: Path) -> None:
    key = add_client(path, "alice", Role.CLIENT, CONTROL)
    write_new(tmp_path / "alice.key", key)
    cluster = load_cluster_key(path)
    assert load_key(tmp_path / "alice.key") == key and key.server == cluster.node.public
    granted = cluster.grants()[key.pair.public]
    assert (granted.name, granted.role) == ("alice", Role.CLIENT)
    assert granted.may(CONTROL) and not granted.may(CODE)
    text = (tmp_path / "alice.key").read_text()
    for secret in (cluster.secret.hex(), cluster.node.secret, cluster.client.secret):
        assert secret not in text
    assert key.pair.secret not in path.read_text()


def test_a_client_that_is_removed_is_known_no_more(path: Path) -> None:
    key = add_client(path, "alice")
    change(path, lambda cluster: cluster.without_client("alice"))
    assert key.pair.public not in load_cluster_key(path).grants()
    with pytest.raises(BadKey, match="there is no client 'alice'"):
        change(path, lambda cluster: cluster.without_client("alice"))


@pytest.mark.parametrize("name", ["", "node", "cluster", "a\nb", "x" * 101, "alice"])
def test_a_name_that_is_taken_or_is_none_is_refused(path: Path, name: str) -> None:
    add_client(path, "alice")
    with pytest.raises(BadKey):
        add_client(path, name)


def test_a_change_keeps_the_mode_and_leaves_nothing_behind(path: Path) -> None:
    add_client(path, "alice")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["cluster.key"]


# -- what cannot be used -------------------------------------------------------------------------------------------


def test_the_secret_is_not_written_into_a_file_that_somebody_has_put_there(path: Path) -> None:
    trap = path.with_name(f".cluster.key.{os.getpid()}")
    trap.write_text("")
    with trap.open() as held_open:
        add_client(path, "alice")
        assert held_open.read() == "" and trap.read_text() == ""


def test_a_file_that_others_can_read_is_refused_with_the_command_that_helps(path: Path) -> None:
    path.chmod(0o644)
    with pytest.raises(BadKey, match=f"chmod 0600 {path}"):
        load_key(path)
    path.chmod(0o600)
    load_key(path)


def test_a_directory_that_others_can_write_to_is_refused_with_the_command_that_helps(path: Path) -> None:
    path.parent.chmod(0o777)
    with pytest.raises(BadKey, match=f"chmod go-w {path.parent}"):
        load_key(path)
    path.parent.chmod(0o1777)  # As /tmp: nobody can take away what is another's there.
    load_key(path)


def test_a_link_to_a_file_in_a_directory_that_others_can_write_to_is_refused(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "links" / "cluster.key"
    link.parent.mkdir()
    link.symlink_to(path)
    load_key(link)
    path.parent.chmod(0o777)
    with pytest.raises(BadKey, match=f"chmod go-w {path.parent}$"):
        load_key(link)


def test_nothing_is_written_where_others_could_replace_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(BadKey, match="chmod go-w"):
        write_new(tmp_path / "cluster.key", new_cluster_key())
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused_and_one_of_roots_for_a_group_is_not(path: Path) -> None:
    os.chown(path, 12345, -1)
    with pytest.raises(BadKey, match="chown root"):
        load_key(path)
    os.chown(path, 0, 12345)
    path.chmod(0o640)
    load_key(path)


ROGUE = {"name": "x", "role": "client", "rights": [], "public": "x" * 40}


def damage(edit: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        data = json.loads(path.read_text())
        edit(data)
        path.write_text(json.dumps(data))

    return apply


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "No such file or directory; make one with 'actorq key new'"),
        (lambda path: path.write_text("tcp://"), "is no key file"),
        (lambda path: path.write_text("[1]"), "is no key file"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "is no key file"),
        (damage(lambda data: data.pop("secret")), "is damaged"),
        (damage(lambda data: data.update(secret="00")), "the secret has 1 bytes"),
        (damage(lambda data: data.update(secret=7)), "is damaged"),
        (damage(lambda data: data.update(clients=[{"name": "x", "role": "client", "rights": []}])), "is damaged"),
        (damage(lambda data: data.update(clients=[{**ROGUE, "role": "node"}])), "only the derived key"),
        (damage(lambda data: data.update(clients=[{**ROGUE, "rights": ["all"]}])), "rights are a list of"),
        (damage(lambda data: data.update(clients=[{**ROGUE, "public": "short"}])), "something that is no key"),
        (damage(lambda data: data.update(kind="actorq key of a later kind")), "of another kind"),
        (damage(lambda data: data.pop("kind")), "is damaged"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(path: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(path)
    with pytest.raises(BadKey, match=said):
        load_key(path)


def test_a_node_does_not_take_the_key_of_a_client(path: Path, tmp_path: Path) -> None:
    write_new(tmp_path / "alice.key", add_client(path, "alice"))
    with pytest.raises(BadKey, match="the key of the client 'alice': a worker needs the cluster's own key file"):
        load_cluster_key(tmp_path / "alice.key", "a worker")
