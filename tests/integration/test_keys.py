"""A mesh with keys: it works as without, and whoever may not do something is refused, named in the log, and told why."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from actorq import ActorQ
from actorq.client import session as client_session
from actorq.config import ClientSettings
from actorq.errors import BadKey, CallRefused, ImproperlyConfigured, NotPermitted, OperationalError
from actorq.keys import CODE, CONTROL, ClusterKey, Role, client_keys, load_key, node_keys
from actorq.keys.files import change, load_cluster_key, new_cluster_key, write_new
from actorq.transport import Link, zap
from actorq.wire import messages as m
from actorq.wire.payload import code_blob, encode_call
from actorq.wire.records import SUCCESS, Call, CallSpec, Outcome
from tests.integration.mesh import Mesh, kill, wait_for_workers, worker_stats
from tests.integration.relay import Relay
from tests.integration.stranger import Stranger
from tests.support import Nodes, eventually, free_address

VERSIONS = (m.OLDEST_VERSION, m.PROTOCOL_VERSION)
ADD = "tests.integration.tasks.add"
PATIENT, HASTY = ClientSettings(publish_timeout_s=20.0), ClientSettings(publish_timeout_s=3.0)
PLAINTEXT = "a sentence that nobody else may read"


class Keys:
    """The key files of a mesh."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cluster = str(directory / "cluster.key")
        write_new(self.cluster, new_cluster_key())

    def client(self, name: str, role: Role = Role.CLIENT, *rights: str) -> str:
        """The path of a new client's key, which the cluster's file knows."""
        path = str(self.directory / f"{name}.key")

        def add(cluster: ClusterKey) -> ClusterKey:
            changed, key = cluster.with_client(name, role, rights)
            write_new(path, key)
            return changed

        change(self.cluster, add)
        return path

    def unknown(self) -> str:
        """A key that is like those of the mesh, and that it does not know."""
        path = str(self.directory / f"unknown-{len(os.listdir(self.directory))}.key")
        write_new(path, load_cluster_key(self.cluster).with_client("unknown", Role.CLIENT, [])[1])
        return path


class KeyedMesh(Mesh):
    def __init__(self, nodes: Nodes, address: str) -> None:
        super().__init__(nodes, address)
        self.keys = Keys(nodes.directory)

    def start_all(self) -> None:
        self.coordinator = self.nodes.start("coordinator", "--listen", self.address, "--key", self.keys.cluster)
        self.start_worker("--key", self.keys.cluster, "--processes", "2", "-c", "4")

    def app(self, key: str, settings: ClientSettings = PATIENT) -> ActorQ:
        """A program with some key, or with none."""
        return ActorQ("program", self.address, key=key, settings=settings)

    def log(self) -> str:
        assert self.coordinator is not None
        return self.coordinator.output()

    def wait_for_log(self, text: str) -> None:
        assert self.coordinator is not None
        self.coordinator.wait_for_output(text)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedMesh]:
    """Two nodes with four slots each, which the tests of this module share."""
    with Nodes(tmp_path_factory.mktemp("keys")) as nodes:
        made = KeyedMesh(nodes, free_address())
        made.start_all()
        with made.app(made.keys.cluster) as app:
            wait_for_workers(app, 2)
        yield made


@pytest.fixture
def own_mesh(nodes: Nodes, address: str) -> KeyedMesh:
    """For a test that harms its mesh. Nothing is started yet."""
    return KeyedMesh(nodes, address)


@pytest.fixture
def app(mesh: KeyedMesh) -> Iterator[ActorQ]:
    """A program that has the cluster's key file."""
    with mesh.app(mesh.keys.cluster) as made:
        yield made


# -- it works as without -------------------------------------------------------------------------------------------


def test_calls_their_results_and_their_failures_come_through(app: ActorQ) -> None:
    results = [app.send_task(ADD, (number, 1)) for number in range(1000)]
    assert app.gather(*results, timeout=30) == list(range(1, 1001))
    with pytest.raises(ValueError, match="too small"):
        app.send_task("tests.integration.tasks.fail", ("too small",)).get(timeout=20)


def test_large_bodies_come_through(app: ActorQ) -> None:
    data = os.urandom(5_000_000)
    assert app.send_task("tests.integration.tasks.echo", (data,)).get(timeout=30) == data


def test_functions_by_value_come_through(app: ActorQ) -> None:
    here = os.getpid()
    assert app.submit(lambda x: (x * 2, os.getpid() != here), 21).get(timeout=20) == (42, True)


def test_control_reaches_all_nodes(app: ActorQ) -> None:
    assert len(app.control.ping(timeout=5)) == 2


def test_a_task_can_call_another_one(app: ActorQ) -> None:
    assert app.send_task("tests.integration.tasks.descend", (5,)).get(timeout=30) == 5


def test_results_go_straight_to_the_client(app: ActorQ) -> None:
    app.send_task(ADD, (1, 2)).get(timeout=20)
    session = app.session
    assert session._link.stats.connections > 0
    eventually(lambda: session._link.stats.messages_in > 0)


def test_a_worker_that_is_killed_is_replaced_and_its_calls_run_again(own_mesh: KeyedMesh) -> None:
    own_mesh.start_all()
    with own_mesh.app(own_mesh.keys.cluster) as app:
        workers = wait_for_workers(app, 2)
        waiting = [app.send_task("tests.integration.tasks.pid_after", (1.0,)) for _ in range(8)]
        eventually(lambda: all(worker["running"] for worker in worker_stats(app)), what="all run something")
        kill(workers[0]["pid"])
        pids = {result.get(timeout=60) for result in waiting}
        assert workers[0]["pid"] not in pids
        assert {worker["pid"] for worker in wait_for_workers(app, 2)} != {worker["pid"] for worker in workers}


def test_a_coordinator_that_starts_again_has_the_same_key(own_mesh: KeyedMesh) -> None:
    own_mesh.start_all()
    assert own_mesh.coordinator is not None
    with own_mesh.app(own_mesh.keys.cluster) as app:
        wait_for_workers(app, 2)
        own_mesh.coordinator.terminate()
        own_mesh.nodes.start("coordinator", "--listen", own_mesh.address, "--key", own_mesh.keys.cluster)
        wait_for_workers(app, 2)
        assert app.send_task(ADD, (1, 2)).get(timeout=20) == 3


def test_coordinators_with_one_key_form_a_mesh_and_take_over_from_each_other(nodes: Nodes, address: str) -> None:
    keys, other = Keys(nodes.directory), free_address()
    first = nodes.start("coordinator", "-n", "a", "--listen", address, "--key", keys.cluster)
    nodes.start("coordinator", "-n", "b", "--listen", other, "--join", address, "--key", keys.cluster)
    nodes.start("worker", "-A", "tests.integration.tasks", "-u", address, "--key", keys.cluster)

    def all_are_met(app: ActorQ) -> bool:
        stats = app.control.inspect(timeout=5).coordinator().values()
        return len(stats) == 2 and all(each["workers"] and each["coordinators"] for each in stats)

    with ActorQ("program", address, key=keys.client("alice", Role.CLIENT, CONTROL), settings=PATIENT) as app:
        eventually(lambda: all_are_met(app), 30, "all know each other")
        first.signal(signal.SIGKILL)
        assert app.send_task(ADD, (1, 2)).get(timeout=30) == 3
    with ActorQ("program", other, key=keys.unknown(), settings=HASTY) as app, pytest.raises(OperationalError):
        app.send_task(ADD, (1, 2))


def test_a_coordinator_of_another_mesh_is_not_joined(mesh: KeyedMesh, tmp_path: Path, nodes: Nodes) -> None:
    other = Keys(tmp_path)
    address = free_address()
    nodes.start("coordinator", "-n", "alien", "--listen", address, "--join", mesh.address, "--key", other.cluster)
    mesh.wait_for_log("broke off the handshake")
    with ActorQ("program", address, key=other.cluster, settings=PATIENT) as app:
        (stats,) = app.control.inspect(timeout=5).coordinator().values()
        assert not [each for each in stats["coordinators"] if each["in_touch"]]


# -- who may not ---------------------------------------------------------------------------------------------------


def test_without_a_key_nobody_gets_in_and_is_told_to_give_one(mesh: KeyedMesh) -> None:
    with (
        mesh.app("", HASTY) as app,
        pytest.raises(OperationalError, match=r"it wants a key, and this side has none.*--key"),
    ):
        app.send_task(ADD, (1, 2))
    mesh.wait_for_log("broke off the handshake")


def test_an_unknown_key_gets_nobody_in(mesh: KeyedMesh) -> None:
    path = mesh.keys.unknown()
    with (
        mesh.app(path, HASTY) as app,
        pytest.raises(OperationalError, match=r"refused this client.* does not know this key"),
    ):
        app.send_task(ADD, (1, 2))
    key = load_key(path)
    assert not isinstance(key, ClusterKey)
    mesh.wait_for_log(f"a peer at this host was refused: its key {key.pair.public} is not known here")


def test_the_key_of_another_mesh_gets_nobody_in(mesh: KeyedMesh, tmp_path: Path) -> None:
    other = Keys(tmp_path)
    with mesh.app(other.cluster, HASTY) as app, pytest.raises(OperationalError, match="it has another cluster's key"):
        app.send_task(ADD, (1, 2))


def test_a_worker_with_the_key_of_another_mesh_says_so(mesh: KeyedMesh, tmp_path: Path, nodes: Nodes) -> None:
    other = Keys(tmp_path)
    worker = nodes.start("worker", "-A", "tests.integration.tasks", "-u", mesh.address, "--key", other.cluster)
    worker.wait_for_output("it has another cluster's key")


def test_a_program_with_a_key_does_not_talk_to_a_coordinator_without(mesh: KeyedMesh, nodes: Nodes) -> None:
    address = free_address()
    nodes.start("coordinator", "--listen", address).wait_for_output("listens")
    app = ActorQ("program", address, key=mesh.keys.cluster, settings=HASTY)
    with app, pytest.raises(OperationalError, match="was started without"):
        app.send_task(ADD, (1, 2))


def test_a_client_that_poses_as_a_worker_is_refused(mesh: KeyedMesh) -> None:
    hello = m.WorkerHello(VERSIONS, "1", "worker-9@rogue", "rogue-epoch", ["default"], [ADD], 4, 4)
    key = client_keys(load_key(mesh.keys.client("rogue")))
    with Stranger(mesh.address, key) as rogue:
        rogue.say(hello)
        assert "rogue (role client, with neither control nor by-value) may not send WorkerHello" in (
            rogue.wait_for(m.Rejected).reason
        )
    mesh.wait_for_log("rogue (role client, with neither control nor by-value) may not send WorkerHello")
    with mesh.app(mesh.keys.cluster) as app:
        assert "worker-9@rogue" not in [worker["name"] for worker in worker_stats(app)]


def test_a_client_that_reports_outcomes_loses_its_session(mesh: KeyedMesh) -> None:
    key = client_keys(load_key(mesh.keys.client("forger")))
    with Stranger(mesh.address, key) as forger:
        forger.say(m.ClientHello(VERSIONS, "1", "x", "forger-session", ""))
        forger.wait_for(m.Welcome)
        forger.say(m.Finished(1, [Outcome("any", 1, SUCCESS, b"")]))
        forger.wait_for(m.Reset)
    mesh.wait_for_log("forger (role client, with neither control nor by-value) at this host broke the protocol")


def test_a_client_without_the_right_to_control_asks_but_gives_no_orders(mesh: KeyedMesh) -> None:
    with mesh.app(mesh.keys.client("plain")) as app:
        assert len(app.control.ping(timeout=5)) == 2
        assert app.send_task(ADD, (1, 2)).get(timeout=20) == 3
        with pytest.raises(NotPermitted, match=r"plain .* may not give the order 'shutdown'.*the right control"):
            app.control.shutdown()
        with pytest.raises(NotPermitted, match="revoke"):
            app.control.revoke("some-call")
        assert len(app.control.ping(timeout=5)) == 2
    mesh.wait_for_log("may not give the order 'shutdown'")
    with mesh.app(mesh.keys.client("chief", Role.CLIENT, CONTROL)) as app:
        assert app.control.revoke("some-call")["some-call"].startswith("unknown")


def test_a_client_without_the_right_to_code_sends_no_functions(mesh: KeyedMesh) -> None:
    with mesh.app(mesh.keys.client("simple")) as app:
        refused = app.submit(lambda: 1)
        with pytest.raises(CallRefused, match=r"simple .* may not send functions by value.*the right by-value"):
            refused.get(timeout=20)
        assert app.send_task(ADD, (1, 2)).get(timeout=20) == 3
        pickled = app.send_task(ADD, (1, 2), serializer="cloudpickle")
        with pytest.raises(CallRefused, match="other than as msgpack or json"):
            pickled.get(timeout=20)
        assert app.send_task(ADD, (1, 2), serializer="json").get(timeout=20) == 3
    mesh.wait_for_log("simple (role client, with neither control nor by-value) may not send functions by value")
    with mesh.app(mesh.keys.client("author", Role.CLIENT, CODE)) as app:
        assert app.submit(lambda: 7).get(timeout=20) == 7


def test_a_client_cannot_use_a_function_that_another_one_has_sent(mesh: KeyedMesh) -> None:
    with mesh.app(mesh.keys.cluster) as app:
        digest, blob = code_blob(_seven)
        app.submit(_seven).get(timeout=20)
    key = client_keys(load_key(mesh.keys.client("thief")))
    with Stranger(mesh.address, key) as thief:
        thief.say(
            m.ClientHello(VERSIONS, "1", "x", "thief-session", ""),
            m.Submit(1, [(1, CallSpec("seven", code=digest))], [Call("thief-1", 1, encode_call((), {}))]),
            m.Submit(2, [], [Call("thief-2", 1, encode_call((), {}))]),
        )
        eventually(lambda: sum(isinstance(each, m.Refused) for each in thief.heard) == 2, 20, "both are refused")
        assert thief.wait_for(m.Accepted)
    assert blob


def _seven() -> int:
    return 7


def test_an_observer_looks_and_submits_nothing(mesh: KeyedMesh) -> None:
    with mesh.app(mesh.keys.client("olga", Role.OBSERVER)) as app:
        assert len(worker_stats(app)) == 2
        refused = app.send_task(ADD, (1, 2))
        with pytest.raises(CallRefused, match=r"olga \(role observer\) may not send Submit: that needs role client"):
            refused.get(timeout=20)
        with pytest.raises(NotPermitted):
            app.control.shutdown()
        assert len(app.control.ping(timeout=5)) == 2
    mesh.wait_for_log("olga (role observer) may not send Submit")


def test_the_session_of_one_key_is_not_taken_over_by_another(mesh: KeyedMesh) -> None:
    with mesh.app(mesh.keys.cluster) as app:
        assert app.send_task(ADD, (1, 2)).get(timeout=20) == 3
        victim = app.session.core.session
        key = client_keys(load_key(mesh.keys.client("pirate")))
        with Stranger(mesh.address, key) as pirate:
            pirate.say(m.ClientHello(VERSIONS, "1", "x", victim, ""))
            assert "belongs to another key" in pirate.wait_for(m.Rejected).reason
        assert app.send_task(ADD, (1, 3)).get(timeout=20) == 4


def test_workers_connect_nowhere_but_to_clients_that_are_there(mesh: KeyedMesh) -> None:
    # 192.0.2.1 is nobody's (RFC 5737). The client gets its results all the same, on the other way.
    keys = client_keys(load_key(mesh.keys.client("liar")))
    with Stranger(mesh.address, keys) as liar:
        liar.say(
            m.ClientHello(VERSIONS, "1", "x", "liar-session", "tcp://192.0.2.1:4444", keys.listener.public),
            m.Submit(1, [(1, CallSpec(ADD))], [Call("liar-1", 1, encode_call((1, 2), {}))]),
        )
        assert [each.id for each in liar.wait_for(m.Settled).outcomes] == ["liar-1"]
    mesh.wait_for_log("the reply address tcp://192.0.2.1:4444 of liar")


def test_a_reply_socket_without_a_key_is_refused(mesh: KeyedMesh) -> None:
    with Stranger(mesh.address, client_keys(load_key(mesh.keys.client("open")))) as client:
        client.say(m.ClientHello(VERSIONS, "1", "x", "open-session", "tcp://127.0.0.1:4444"))
        assert "without a key" in client.wait_for(m.Rejected).reason


def test_a_function_that_is_not_what_its_digest_says_ends_the_session(mesh: KeyedMesh) -> None:
    with Stranger(mesh.address, client_keys(load_key(mesh.keys.cluster))) as client:
        client.say(
            m.ClientHello(VERSIONS, "1", "x", "poisoner", ""),
            m.Code(code_blob(_seven)[0], b"something else"),
        )
        client.wait_for(m.Reset)
    mesh.wait_for_log("a function by value is not the one that its digest names")


def test_only_nodes_reach_the_reply_socket_of_a_client(mesh: KeyedMesh) -> None:
    with mesh.app(mesh.keys.cluster) as app:
        app.send_task(ADD, (1, 2)).get(timeout=20)
        core = app.session.core
        stranger = client_keys(load_key(mesh.keys.client("mallory")))
        with Stranger(core.reply_address, replace(stranger, server=core.reply_key)) as mallory:
            eventually(lambda: mallory.down, 20, "it is refused")
            assert "does not know this key" in mallory.down
        node = node_keys(load_cluster_key(mesh.keys.cluster))
        with Stranger(core.reply_address, replace(node, server=core.reply_key)) as worker:
            eventually(lambda: worker._is_up, 20, "a node is let in")


def test_the_nodes_tell_how_many_they_have_refused(mesh: KeyedMesh) -> None:
    with mesh.app(mesh.keys.unknown(), HASTY) as app, pytest.raises(OperationalError):
        app.send_task(ADD, (1, 2))
    with mesh.app(mesh.keys.cluster) as app:
        (stats,) = app.control.inspect(timeout=5).coordinator().values()
        assert stats["link"]["refused_keys"] >= 1 and stats["link"]["connections"] >= 5


# -- what passes over the network ----------------------------------------------------------------------------------


@pytest.mark.parametrize("has_key", [True, False], ids=["with a key", "without"])
def test_with_a_key_nobody_on_the_network_reads_along(
    nodes: Nodes, address: str, has_key: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh = KeyedMesh(nodes, address)
    key = mesh.keys.cluster if has_key else ""
    relays: list[Relay] = []

    class RelayedLink(Link):
        """Of a client whose workers come to it over the network, too."""

        def listen(self, address: str) -> str:
            relays.append(Relay(super().listen(address)))
            return relays[-1].address

    monkeypatch.setattr(client_session, "Link", RelayedLink)
    nodes.start("coordinator", "--listen", address, "--key", key).wait_for_output("listens")
    with Relay(address) as front, Relay(address) as back:
        nodes.start("worker", "-A", "tests.integration.tasks", "-u", back.address, "--key", key)
        with ActorQ("program", front.address, key=key, settings=PATIENT) as app:
            wait_for_workers(app, 1)
            assert app.send_task("tests.integration.tasks.echo", (PLAINTEXT,)).get(timeout=30) == PLAINTEXT
            large = PLAINTEXT * 10_000
            assert app.send_task("tests.integration.tasks.echo", (large,)).get(timeout=30) == large
        (reply,) = relays
        for relay, holds in ((front, PLAINTEXT), (back, PLAINTEXT), (reply, PLAINTEXT), (front, ADD[:17])):
            captured = relay.captured()
            assert captured
            assert (holds.encode() in captured) is not has_key
        for relay in relays:
            relay.__exit__(None, None, None)


# -- keys that change ----------------------------------------------------------------------------------------------


def test_keys_are_granted_and_taken_away_without_a_restart(own_mesh: KeyedMesh) -> None:
    own_mesh.start_all()
    own_mesh.wait_for_log("listens")
    path = own_mesh.keys.client("late")
    with own_mesh.app(path) as app:
        wait_for_workers(app, 2)
        assert app.send_task(ADD, (1, 2)).get(timeout=20) == 3
        change(own_mesh.keys.cluster, lambda cluster: cluster.without_client("late"))
        own_mesh.wait_for_log("the session of late (role client, with neither control nor by-value) at this host ends")
        eventually(lambda: not app.session.core.is_open, 10, "its session ends")
        with pytest.raises(OperationalError, match=r"does not know this key|no longer"):
            app.send_task(ADD, (1, 2), publish_timeout=3.0)
    with own_mesh.app(own_mesh.keys.cluster) as app:
        assert app.send_task(ADD, (1, 2)).get(timeout=20) == 3


def test_rights_that_change_count_at_once(own_mesh: KeyedMesh) -> None:
    own_mesh.start_all()
    own_mesh.wait_for_log("listens")
    with own_mesh.app(own_mesh.keys.client("rising")) as app:
        wait_for_workers(app, 2)
        with pytest.raises(NotPermitted):
            app.control.revoke("some-call")

        def promote(cluster: ClusterKey) -> ClusterKey:
            (only,) = cluster.clients
            return replace(cluster, clients=(replace(only, grant=replace(only.grant, rights=frozenset({CONTROL}))),))

        change(own_mesh.keys.cluster, promote)

        def may_revoke() -> bool:
            try:
                return bool(app.control.revoke("some-call"))
            except (NotPermitted, OperationalError):
                return False

        eventually(may_revoke, 20, "it may revoke")


def test_a_key_file_that_cannot_be_read_any_more_changes_nothing(own_mesh: KeyedMesh) -> None:
    own_mesh.start_all()
    with own_mesh.app(own_mesh.keys.cluster) as app:
        before = wait_for_workers(app, 2)
        os.chmod(own_mesh.keys.cluster, 0o644)
        own_mesh.wait_for_log(f"chmod 0600 {own_mesh.keys.cluster}")
        assert app.send_task(ADD, (1, 2)).get(timeout=20) == 3
        kill(before[0]["pid"])  # Its place is taken as soon as the file can be read again.
        eventually(lambda: f"chmod 0600 {own_mesh.keys.cluster}" in own_mesh.nodes.started[1].output(), 20)
        os.chmod(own_mesh.keys.cluster, 0o600)
        wait_for_workers(app, 2)
    with own_mesh.app(own_mesh.keys.cluster) as app:
        assert app.send_task(ADD, (1, 2)).get(timeout=20) == 3


# -- closed by default ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("coordinator", "--listen"), ("up", "--listen"), ("worker", "-u")])
def test_without_a_key_nodes_talk_on_loopback_only(nodes: Nodes, command: tuple[str, str]) -> None:
    node = nodes.start(*command, "tcp://192.0.2.1:5570")
    assert node.wait() == 78
    assert "--key" in node.output() and "--insecure" in node.output() and "Traceback" not in node.output()


def test_a_program_without_a_key_talks_on_loopback_only() -> None:
    app = ActorQ("program", "tcp://192.0.2.1:5570", key="")
    with app, pytest.raises(ImproperlyConfigured, match="not on this host, and without a key nothing is encrypted"):
        app.send_task(ADD, (1, 2))


def test_who_insists_is_reminded(nodes: Nodes) -> None:
    coordinator = nodes.start("coordinator", "--listen", "tcp://0.0.0.0:0", "--insecure")
    coordinator.wait_for_output("insecure: whoever reaches tcp://0.0.0.0:")
    coordinator.wait_for_output("WARNING/coordinator-")


def test_a_port_in_use_is_an_error_that_says_so_and_ends_the_node(mesh: KeyedMesh, nodes: Nodes) -> None:
    second = nodes.start("coordinator", "--listen", mesh.address, "--key", mesh.keys.cluster)
    assert second.wait() == 78
    assert "in use" in second.output() and "Traceback" not in second.output()


def test_a_program_whose_reply_socket_would_let_strangers_in_goes_no_further(
    mesh: KeyedMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(zap.Gate, "_user", lambda self, request: "anybody")
        app = mesh.app(mesh.keys.cluster)
        with app, pytest.raises(OperationalError, match="does not refuse an unknown key"):
            app.send_task(ADD, (1, 2))
    gc.collect()  # Nothing is left that would wait for ever when it is collected.
    with app:
        assert app.send_task(ADD, (1, 2)).get(timeout=20) == 3


def test_a_key_file_that_is_open_to_others_keeps_nodes_from_starting(own_mesh: KeyedMesh) -> None:
    os.chmod(own_mesh.keys.cluster, 0o644)
    for command in (("coordinator", "--listen"), ("worker", "-u")):
        node = own_mesh.nodes.start(*command, own_mesh.address, "--key", own_mesh.keys.cluster)
        assert node.wait() == 78
        assert f"chmod 0600 {own_mesh.keys.cluster}" in node.output()
    with own_mesh.app(own_mesh.keys.cluster) as app, pytest.raises(BadKey, match="chmod 0600"):
        app.send_task(ADD, (1, 2))


def test_an_embedded_mesh_needs_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTORQ_KEY", Keys(tmp_path).cluster)
    with ActorQ("program", "local://?processes=1") as app:
        assert app.submit(lambda: 7).get(timeout=30) == 7
