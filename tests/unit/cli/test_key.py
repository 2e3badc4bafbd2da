"""`actorq key`: makes key files, shows them, and takes keys away; and the options that name them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actorq.cli.options import is_insecure, key_path
from actorq.keys import ClientKey, load_cluster_key, load_key
from tests.unit.cli.conftest import Run
from tests.unit.cli.fakes import FakeMesh


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands run; no key is named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ACTORQ_KEY", raising=False)
    monkeypatch.delenv("ACTORQ_INSECURE", raising=False)
    return tmp_path


def test_a_mesh_and_its_clients_get_keys(run: Run, directory: Path) -> None:
    assert run("key", "new").exit_code == 0
    assert run("key", "client", "alice", "--control").exit_code == 0
    assert run("key", "client", "olga", "--role", "observer", "-o", "look.key").exit_code == 0
    names = {grant.name: grant for grant in load_cluster_key("cluster.key").grants().values()}
    assert names["alice"].may("control") and not names["alice"].may("by-value")
    assert names["olga"].role.value == "observer"
    alice, olga = load_key("alice.key"), load_key(directory / "look.key")
    assert isinstance(alice, ClientKey) and isinstance(olga, ClientKey)


def test_show_lists_keys_and_no_secrets(run: Run) -> None:
    run("key", "new", "mesh.key")
    run("key", "client", "alice", "--by-value", "--key", "mesh.key")
    cluster, alice = load_cluster_key("mesh.key"), load_key("alice.key")
    assert isinstance(alice, ClientKey)
    for path in ("mesh.key", "alice.key"):
        for options in ((), ("--json",)):
            shown = run("key", "show", "--key", path, *options).stdout
            assert alice.pair.public in shown and cluster.node.public in shown
            for secret in (cluster.secret.hex(), cluster.node.secret, cluster.client.secret, alice.pair.secret):
                assert secret not in shown
    rows = {row["name"]: row for row in json.loads(run("key", "show", "--key", "mesh.key", "--json").stdout)}
    assert rows["alice"]["rights"] == ["by-value"] and rows["node"]["role"] == "node"
    assert len({row["fingerprint"] for row in rows.values()}) == 3


def test_a_key_that_is_removed_is_shown_no_more(run: Run) -> None:
    run("key", "new")
    run("key", "client", "alice")
    assert run("key", "remove", "alice").exit_code == 0
    assert "alice" not in run("key", "show").stdout
    again = run("key", "remove", "alice")
    assert again.exit_code == 78 and "there is no client 'alice'" in again.stderr


def test_a_key_that_is_there_gets_further_rights_and_stays_the_same(run: Run, directory: Path) -> None:
    run("key", "new")
    run("key", "client", "alice")
    run("key", "client", "bob")
    before = (directory / "alice.key").read_text()
    done = run("key", "grant", "alice", "--control")
    assert done.exit_code == 0 and "alice (role client, with control)" in done.stdout
    assert "with by-value and control" in run("key", "grant", "alice", "--by-value").stdout
    grants = {grant.name: grant for grant in load_cluster_key("cluster.key").grants().values()}
    assert grants["alice"].rights == {"control", "by-value"} and not grants["bob"].rights
    key = load_key("alice.key")
    assert isinstance(key, ClientKey) and load_cluster_key("cluster.key").grants()[key.pair.public].may("control")
    assert (directory / "alice.key").read_text() == before


def test_rights_are_given_to_clients_that_are_there_only(run: Run) -> None:
    run("key", "new")
    run("key", "client", "olga", "--role", "observer")
    assert "cannot have further rights" in run("key", "grant", "olga", "--control").stderr
    assert "there is no client 'alice'" in run("key", "grant", "alice", "--control").stderr
    assert run("key", "grant", "olga").exit_code == 2


def test_a_name_that_is_taken_says_how_to_give_that_key_further_rights(run: Run) -> None:
    run("key", "new")
    run("key", "client", "alice")
    assert "'actorq key grant alice' gives its key further rights" in run("key", "client", "alice").stderr


def test_a_name_that_is_a_path_needs_a_file_for_its_key(run: Run, directory: Path) -> None:
    run("key", "new")
    result = run("key", "client", "jobs/alice")
    assert result.exit_code == 2 and "--output" in result.stderr
    assert run("key", "client", "jobs/alice", "-o", "alice.key").exit_code == 0
    assert (directory / "alice.key").exists() and not (directory / "jobs").exists()


def test_help_says_which_key_file_is_the_default(run: Run) -> None:
    for command in ("client", "grant", "remove", "show"):
        assert "$ACTORQ_KEY, else cluster.key here" in " ".join(run("key", command, "--help").stdout.split())
    assert "$ACTORQ_KEY, else none" in " ".join(run("status", "--help").stdout.split())


def test_nothing_is_overwritten(run: Run) -> None:
    run("key", "new")
    before = Path("cluster.key").read_text()
    again = run("key", "new")
    assert again.exit_code == 78 and "never overwritten" in again.stderr
    Path("alice.key").write_text("something of the user's")
    assert run("key", "client", "alice").exit_code == 78
    assert Path("cluster.key").read_text() == before, "no key is granted that nobody has got"


def test_an_observer_has_no_rights_to_choose(run: Run) -> None:
    run("key", "new")
    done = run("key", "client", "olga", "--role", "observer", "--control")
    assert done.exit_code == 2 and not Path("olga.key").exists()


def test_without_a_file_it_says_how_to_name_one(run: Run) -> None:
    done = run("key", "show")
    assert done.exit_code == 78 and "--key or ACTORQ_KEY" in done.stderr


@pytest.mark.parametrize(
    ("before", "after", "environment", "chosen"),
    [
        ((), (), {}, ""),
        (("--key", "a"), (), {}, "a"),
        ((), ("--key", "b"), {}, "b"),
        (("--key", "a"), ("--key", "b"), {"ACTORQ_KEY": "c"}, "b"),
        ((), (), {"ACTORQ_KEY": "c"}, "c"),
    ],
)
def test_the_key_that_is_named_nearest_to_the_command_counts(
    run: Run,
    mesh: FakeMesh,
    monkeypatch: pytest.MonkeyPatch,
    directory: Path,
    before: tuple[str, ...],
    after: tuple[str, ...],
    environment: dict[str, str],
    chosen: str,
) -> None:
    found: list[str] = []

    def note(app: str | None, url: str | None) -> FakeMesh:
        found.append(key_path())
        return mesh

    monkeypatch.setattr("actorq.cli.connection.application_at", note)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run(*before, "status", *after)
    assert found == [str(directory / chosen) if chosen else ""]


@pytest.mark.parametrize(
    ("before", "after", "value", "expected"),
    [
        ((), (), "", False),
        (("--insecure",), (), "", True),
        ((), ("--insecure",), "", True),
        ((), (), "1", True),
        ((), (), "0", False),
    ],
)
def test_insecure_has_to_be_said(
    run: Run,
    mesh: FakeMesh,
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[str, ...],
    after: tuple[str, ...],
    value: str,
    expected: bool,
) -> None:
    found: list[bool] = []

    def note(app: str | None, url: str | None) -> FakeMesh:
        found.append(is_insecure())
        return mesh

    monkeypatch.setattr("actorq.cli.connection.application_at", note)
    monkeypatch.setenv("ACTORQ_INSECURE", value)
    run(*before, "status", *after)
    assert found == [expected]
