"""Where the coordinators are, as a node finds out."""

from __future__ import annotations

from actorq.policies.directory import ANSWER_S, REDIAL_MAX_S, Connection, Directory

A, B, C = "tcp://a:1", "tcp://b:1", "tcp://c:1"


def connected(directory: Directory, address: str, peer: int, number: int, now_s: float = 0.0) -> Connection:
    """A connection to `address` is up, and its session is welcomed."""
    directory.dialled(address, peer)
    connection = directory.of(peer)
    assert connection is not None
    directory.opened(connection, "nonce", now_s)
    connection.number = number
    directory.welcomed(connection)
    return connection


def test_all_addresses_that_the_user_gave_are_dialled_once_each() -> None:
    directory = Directory([A, B, A], "me", 0.0)
    assert directory.due(0.0) == [A, B]
    assert directory.due(100.0) == [], "they are being dialled"


def test_a_connection_that_is_lost_is_dialled_again_after_a_pause_that_grows_while_nothing_comes_of_it() -> None:
    directory = Directory([A], "me", 0.0)
    now_s, pauses = 0.0, []
    for peer in range(1, 10):
        assert directory.due(now_s) == [A]
        directory.dialled(A, peer)
        connection = directory.of(peer)
        assert connection is not None
        directory.opened(connection, "nonce", now_s)
        directory.lose(connection, now_s)
        assert directory.due(now_s) == []
        pauses.append(directory.next_s() - now_s)
        now_s = directory.next_s()
    assert pauses[0] < 0.11 and pauses[-1] > REDIAL_MAX_S / 2 and max(pauses) <= REDIAL_MAX_S
    directory.due(now_s)
    connection = connected(directory, A, 10, 1, now_s)
    directory.lose(connection, now_s)
    assert directory.next_s() - now_s < 0.11, "the last one was good"


def test_nodes_that_lose_a_coordinator_at_the_same_moment_come_back_at_different_moments() -> None:
    def pause_s(node: str) -> float:
        directory = Directory([A], node, 0.0)
        directory.lose(connected(directory, A, 1, 1), 0.0)
        return directory.next_s()

    assert len({pause_s(f"worker-{number}") for number in range(50)}) > 40


def test_whoever_does_not_answer_is_dialled_anew() -> None:
    directory = Directory([A], "me", 0.0)
    directory.due(0.0)
    directory.dialled(A, 1)
    connection = directory.of(1)
    assert connection is not None
    directory.opened(connection, "nonce", 10.0)
    assert directory.overdue(10.0 + ANSWER_S / 2) == []
    assert directory.overdue(10.0 + ANSWER_S) == [connection]


def test_coordinators_that_are_named_are_dialled_too() -> None:
    directory = Directory([A], "me", 0.0)
    directory.due(0.0)
    connection = connected(directory, A, 1, 1)
    directory.learn(connection, [(B, "epoch b"), (C, "epoch c")], ["epoch a", "epoch c"], 0.0)
    assert directory.due(0.0) == [B], "with the other one there is a session, by another address"


def test_nonsense_that_is_named_is_not_dialled() -> None:
    directory = Directory([A], "me", 0.0)
    directory.due(0.0)
    names = ["", "tcp://*:5570", "tcp://a:99999", "tcp://a:0", "ipc://@secret", "ipc://" + "x" * 200, "http://a:1"]
    directory.learn(connected(directory, A, 1, 1), [(name, "") for name in names], [], 0.0)
    assert directory.due(0.0) == []


def test_an_address_that_leads_to_the_same_coordinator_is_left_alone_while_the_other_connection_is_there() -> None:
    directory = Directory([A, B], "me", 0.0)
    directory.due(0.0)
    first = connected(directory, A, 1, 1)
    directory.dialled(B, 2)
    second = directory.of(2)
    assert second is not None
    directory.merge(second, first)
    directory.lose(second, 0.0)
    assert directory.due(100.0) == []
    directory.lose(first, 100.0)
    assert set(directory.due(200.0)) == {A, B}


def test_an_address_is_forgotten_when_no_coordinator_names_it_any_more() -> None:
    directory = Directory([A], "me", 0.0)
    directory.due(0.0)
    first = connected(directory, A, 1, 1)
    directory.learn(first, [(B, "epoch b")], [], 0.0)
    directory.due(0.0)
    second = connected(directory, B, 2, 2)
    directory.learn(first, [], [], 0.0)
    assert directory.forget_gone() == [], "its connection is open"
    directory.lose(second, 0.0)
    assert directory.forget_gone(lambda number: True) == [], "something of its session is left"
    assert directory.forget_gone() == [second]
    assert directory.due(100.0) == []


def test_what_the_user_gave_is_never_forgotten_and_nothing_is_while_nobody_can_be_asked() -> None:
    directory = Directory([A], "me", 0.0)
    directory.due(0.0)
    first = connected(directory, A, 1, 1)
    directory.learn(first, [(B, "epoch b")], [], 0.0)
    directory.lose(first, 0.0)
    assert directory.forget_gone() == []
    assert set(directory.due(100.0)) == {A, B}


def test_a_nodes_own_address_is_not_dialled_again_whoever_names_it() -> None:
    directory = Directory([A, B], "me", 0.0)
    directory.due(0.0)
    own = connected(directory, A, 1, 1)
    directory.drop(own)
    directory.learn(connected(directory, B, 2, 2), [(A, "epoch a")], [], 0.0)
    assert directory.due(100.0) == []
