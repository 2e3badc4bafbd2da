"""The guard of a coordinator: whose message it is, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorq.config import CoordinatorSettings
from actorq.coordinator import guard as guards
from actorq.coordinator.core import Coordinator
from actorq.coordinator.guard import Guard, Verdict
from actorq.keys import ClientKey, KeyRing, Role
from actorq.keys.files import ClusterKey, change, new_cluster_key, write_new
from actorq.transport import MemoryLink, MemoryNetwork, Peer
from actorq.transport.events import Identity
from actorq.wire import messages as m
from actorq.wire.records import Call, CallSpec

VERSIONS = (1, 1)


class Link(MemoryLink):
    """Peers are who the test says."""

    def __init__(self) -> None:
        super().__init__(MemoryNetwork(), "host", lambda events: None)
        self.identities: dict[Peer, Identity] = {}

    def identity(self, peer: Peer) -> Identity:
        return self.identities.get(peer, Identity())


class Gatehouse:
    """A guard, and the file and the link that it looks at."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "cluster.key"
        write_new(self.path, new_cluster_key())
        self.ring = KeyRing(str(self.path))
        self.link = Link()
        self.core = Coordinator("coordinator", "epoch", CoordinatorSettings(), 100.0, 1e9)
        self.guard = Guard(self.ring, self.core, self.link)

    def grant(self, name: str, role: Role = Role.CLIENT, *rights: str) -> str:
        """The public key of a new client."""
        made: list[ClientKey] = []

        def add(cluster: ClusterKey) -> ClusterKey:
            changed, key = cluster.with_client(name, role, rights)
            made.append(key)
            return changed

        change(self.path, add)
        self.ring.refresh()
        return made[0].pair.public

    def remove(self, name: str) -> None:
        change(self.path, lambda cluster: cluster.without_client(name))

    def check(self, peer: Peer, key: str, message: m.Message, address: str = "") -> Verdict | None:
        self.link.identities[peer] = Identity(key, address)
        return self.guard.check(peer, message)


@pytest.fixture
def house(tmp_path: Path) -> Gatehouse:
    return Gatehouse(tmp_path)


def hello(session: str = "session", address: str = "", key: str = "") -> m.ClientHello:
    return m.ClientHello(VERSIONS, "1", "x", session, address, key)


def submit(*calls: tuple[str, int], specs: list[tuple[int, CallSpec]] | None = None, seq: int = 1) -> m.Submit:
    return m.Submit(seq, specs or [], [Call(task_id, number, b"") for task_id, number in calls])


def test_a_node_is_let_through_with_everything(house: Gatehouse) -> None:
    node = house.ring.key.node.public
    for message in (m.WorkerHello(VERSIONS, "1", "w", "e", [], [], 1, 1), m.Finished(1, []), m.Code("x", b"")):
        assert house.check(1, node, message) is None


def test_whoever_has_lost_his_key_since_he_connected_is_rejected(house: Gatehouse) -> None:
    verdict = house.check(1, "a key that was removed", hello())
    assert verdict is not None and verdict.ends_session
    assert isinstance(verdict.answer, m.Rejected) and "no longer" in verdict.answer.reason


def test_a_session_ends_when_its_key_is_taken_away_whoever_has_noticed_first(house: Gatehouse) -> None:
    alice, bob = house.grant("alice"), house.grant("bob")
    assert list(house.guard.refresh()) == []
    assert house.check(1, alice, hello("a")) is None
    assert house.check(2, bob, hello("b")) is None
    house.remove("alice")
    assert house.ring.admit(bob, "")  # A handshake, which looks at the file as well.
    ((peer, message),) = house.guard.refresh()
    assert peer == 1 and isinstance(message, m.Rejected)
    assert list(house.guard.refresh()) == []


def test_a_session_begins_again_when_the_rights_of_its_key_change(house: Gatehouse) -> None:
    alice = house.grant("alice")
    assert house.check(1, alice, hello()) is None
    house.remove("alice")
    cluster = house.ring.key
    (granted,) = cluster.clients
    promoted = type(granted)(alice, type(granted.grant)("alice", Role.OBSERVER))
    change(house.path, lambda _: type(cluster)(cluster.secret, (promoted,)))
    ((peer, message),) = house.guard.refresh()
    assert peer == 1 and isinstance(message, m.Reset)


def test_a_peer_that_is_gone_is_forgotten(house: Gatehouse) -> None:
    alice = house.grant("alice")
    assert house.check(1, alice, hello()) is None
    house.guard.forget(1)
    house.remove("alice")
    assert list(house.guard.refresh()) == []


def test_of_a_submission_only_the_calls_that_bring_code_are_refused(house: Gatehouse) -> None:
    alice = house.grant("alice")
    specs = [
        (1, CallSpec("plain")),
        (2, CallSpec("code", code="digest")),
        (3, CallSpec("pickle", serializer="cloudpickle")),
        (4, CallSpec("bomb", compression="own")),
    ]
    verdict = house.check(1, alice, submit(("a", 1), ("b", 2), ("c", 3), ("d", 4), specs=specs))
    assert verdict is not None and not verdict.ends_session
    assert isinstance(verdict.message, m.Submit) and [call.id for call in verdict.message.calls] == ["a"]
    assert [number for number, _ in verdict.message.specs] == [1]
    assert isinstance(verdict.answer, m.Refused) and [task_id for task_id, _ in verdict.answer.calls] == ["b", "c", "d"]
    later = house.check(1, alice, submit(("e", 1), ("f", 2), seq=2))
    assert later is not None and isinstance(later.answer, m.Refused)
    assert [task_id for task_id, _ in later.answer.calls] == ["f"]


def test_with_the_right_all_calls_are_taken(house: Gatehouse) -> None:
    author = house.grant("author", Role.CLIENT, "by-value")
    assert house.check(1, author, submit(("b", 2), specs=[(2, CallSpec("code", code="digest"))])) is None
    assert house.check(1, author, m.Code("digest", b"")) is None


def test_specs_that_bring_code_do_not_come_to_the_core_even_if_no_call_names_them(house: Gatehouse) -> None:
    message = submit(("a", 1), specs=[(1, CallSpec("plain")), (2, CallSpec("code", code="digest"))])
    assert house.check(1, house.grant("alice"), message) is None
    assert [number for number, _ in message.specs] == [1]


def test_whoever_names_more_and_more_options_that_it_may_not_use_loses_its_session(
    house: Gatehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "SPEC_LIMIT", 3)
    alice = house.grant("alice")

    def verdict(first: int) -> Verdict | None:
        specs = [(first, CallSpec("code", code="x")), (first + 1, CallSpec("code", code="y"))]
        return house.check(1, alice, submit(specs=specs, seq=first))

    assert verdict(1) is None
    last = verdict(3)
    assert last is not None and last.ends_session


def test_a_submission_that_is_refused_as_a_whole_is_still_counted(house: Gatehouse) -> None:
    # So the client hears Accepted, and does not send it again.
    verdict = house.check(1, house.grant("olga", Role.OBSERVER), submit(("a", 1), seq=7))
    assert verdict is not None and verdict.message == m.Submit(7, [], [])


def test_a_session_or_an_epoch_stays_with_the_key_that_came_first(house: Gatehouse) -> None:
    alice, pirate = house.grant("alice"), house.grant("pirate")
    assert house.check(1, alice, hello("hers")) is None
    verdict = house.check(2, pirate, hello("hers"))
    assert verdict is not None and verdict.ends_session and isinstance(verdict.answer, m.Rejected)
    house.guard.forget(1)
    assert house.check(3, alice, hello("hers")) is None
    assert house.check(4, pirate, hello("hers")) is not None


def test_owners_of_sessions_that_nobody_knows_any_more_are_forgotten(
    house: Gatehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "FEWEST_OWNERS_PRUNED", 4)
    house.guard = Guard(house.ring, house.core, house.link)
    alice, bob = house.grant("alice"), house.grant("bob")
    house.core.receive(1, hello("kept"))
    assert house.check(1, alice, hello("kept")) is None
    for number in range(2, 20):
        assert house.check(number, alice, hello(f"session-{number}")) is None
    assert house.check(30, bob, hello("session-2")) is None
    assert house.check(31, bob, hello("kept")) is not None


def test_a_reply_address_elsewhere_is_taken_for_none(house: Gatehouse, caplog: pytest.LogCaptureFixture) -> None:
    alice = house.grant("alice")
    key = house.ring.key.client.public
    honest, liar = hello("a", "tcp://10.0.0.7:4000", key), hello("b", "tcp://10.0.0.8:4000", key)
    assert house.check(1, alice, honest, "10.0.0.7") is None and honest.reply_address == "tcp://10.0.0.7:4000"
    assert house.check(2, alice, liar, "10.0.0.7") is None
    assert (liar.reply_address, liar.reply_key) == ("", "")
    assert "tcp://10.0.0.8:4000 of alice" in caplog.text and "10.0.0.7" in caplog.text


def test_a_reply_address_without_a_key_is_refused(house: Gatehouse) -> None:
    verdict = house.check(1, house.grant("alice"), hello("a", "tcp://10.0.0.7:4000", "short"), "10.0.0.7")
    assert verdict is not None and isinstance(verdict.answer, m.Rejected)
