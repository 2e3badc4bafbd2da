"""`app.control`: broadcasts with replies from every addressed node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from actorq.control.queues import QueueControl
from actorq.errors import DuplicateNodenameWarning
from actorq.warning import warn_program
from actorq.wire.batches import chunks, revocations
from actorq.wire.messages import Replies


class Orders(Protocol):
    """What control asks of the application."""

    def order(
        self, command: str, arguments: dict[str, Any], destination: Sequence[str], timeout_s: float
    ) -> Replies: ...


class BroadcastReplies(dict[str, Any]):
    """Replies by node. `missing` names the nodes that were addressed and did not answer in time."""

    def __init__(self, replies: dict[str, Any], missing: Sequence[str]) -> None:
        super().__init__(replies)
        self.missing = list(missing)


class Control(QueueControl):
    """Commands to all nodes at once, or to those in `destination`.

    A command returns when all addressed nodes have answered, at the latest after `timeout` seconds. The nodes answer
    from a native thread, so also while their tasks are busy with CPU.
    """

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    def broadcast(
        self,
        command: str,
        arguments: dict[str, Any] | None = None,
        destination: str | Sequence[str] | None = None,
        timeout: float = 1.0,
    ) -> BroadcastReplies:
        """Run `command` on nodes. Returns their replies by name; `.missing` names those that did not answer.

        `destination`: names of nodes, or the name of one; None or empty: all. A name that several nodes have means all of
        them; the replies of the others are under ``name#2``, and so on, and a DuplicateNodenameWarning says so.
        """
        answer = self._orders.order(command, dict(arguments or {}), _names(destination), timeout)
        _warn_of_duplicates([*answer.replies, *answer.missing])
        return BroadcastReplies(answer.replies, answer.missing)

    def ping(self, destination: str | Sequence[str] | None = None, timeout: float = 1.0) -> list[dict[str, Any]]:
        """``[{node: {"ok": "pong"}}, …]``, one for each node that answered."""
        replies = self.broadcast("ping", destination=destination, timeout=timeout)
        return [{node: reply} for node, reply in replies.items()]

    def revoke(
        self,
        task_id: str | Sequence[str],
        terminate: bool = False,
        timeout: float = 1.0,
        tree: bool = False,
        signal: str | None = None,
    ) -> dict[str, str]:
        """End calls. Returns what became of each: removed, its worker was told, already settled, unknown.

        tree: and all that their tasks have submitted, and will submit, and so on; what became of these is counted, as in
        "2 removed". `signal` is Celery's and changes nothing: a task is ended by an exception in it.
        """
        ids = _names(task_id)
        return self.end([] if tree else ids, ids if tree else [], terminate, timeout)

    def end(self, ids: Sequence[str], roots: Sequence[str], terminate: bool, timeout: float = 1.0) -> dict[str, str]:
        """End calls, and all calls that go back to roots. Of many some are told of at a time: each time has the timeout."""
        became: dict[str, str] = {}
        for arguments in revocations(ids, roots, terminate):
            for reply in self.broadcast("revoke", arguments, timeout=timeout).values():
                news = {task_id: what for task_id, what in reply.items() if not str(what).startswith("unknown")}
                became = {**reply, **became, **news}  # Where one coordinator knows a call, the others do not count.
        return became

    def cancel(self, task_id: str | Sequence[str], timeout: float = 1.0) -> BroadcastReplies:
        """End calls, also running ones, with all of the workflows that they belong to, and with what their tasks have
        submitted or will submit (but for what those of a workflow have that a task has submitted). Returns, by coordinator,
        what became of each.
        """
        given = _names(task_id)
        ids, roots = self.open_calls(given, timeout)
        replies = BroadcastReplies({}, [])
        all_ids, all_roots = list(dict.fromkeys([*ids, *given])), list(dict.fromkeys([*roots, *given]))
        for arguments in revocations(all_ids, all_roots, terminate=True):
            answer = self.broadcast("revoke", arguments, timeout=timeout)
            for name, became in answer.items():
                replies.setdefault(name, {}).update(became)
            replies.missing += [each for each in answer.missing if each not in replies.missing]
        return replies

    def open_calls(self, task_ids: Sequence[str], timeout: float = 1.0) -> tuple[list[str], list[str]]:
        """Of the workflows that these calls belong to: the ids of all calls that have not ended, from the end to the
        beginning, and what all else goes back to that their tasks have submitted.
        """
        ids: dict[str, None] = {}
        roots: dict[str, None] = {}
        for some in chunks(task_ids):
            for reply in self.broadcast("open_calls", {"ids": list(some)}, timeout=timeout).values():
                ids.update(dict.fromkeys(reply.get("ids", ())))  # Whoever cannot say it answers with an error.
                roots.update(dict.fromkeys(reply.get("roots", ())))
        return list(ids), list(roots)

    def revoke_by_stamped_headers(
        self, headers: Mapping[str, Any], terminate: bool = False, timeout: float = 1.0
    ) -> dict[str, str]:
        """End the calls that wait or run now and have one of these stamps: names, each with a value, or a list of which one
        suffices. Returns what became of each.
        """
        arguments = {"stamps": {name: _listed(value) for name, value in headers.items()}, "terminate": terminate}
        replies = self.broadcast("revoke_by_stamps", arguments, timeout=timeout)
        return {task: what for reply in replies.values() for task, what in reply.items()}

    def terminate(
        self, task_id: str | Sequence[str], timeout: float = 1.0, signal: str | None = None
    ) -> dict[str, str]:
        """``revoke(task_id, terminate=True)``."""
        return self.revoke(task_id, terminate=True, timeout=timeout)

    def rate_limit(self, task_name: str, rate_limit: str | float | None, timeout: float = 1.0) -> BroadcastReplies:
        """Change a task's rate limit (as `ActorQ.task` takes it; 0 or None: no limit), whatever its calls say.

        It holds for calls that wait already, and for tasks that had no limit; coordinators that come later know it, and a
        journal keeps it. The replies are those of Celery, one for
        each coordinator: `{"ok": …}` or `{"error": …}`.
        """
        return self.broadcast("rate_limit", {"task_name": task_name, "rate_limit": rate_limit}, timeout=timeout)

    def drain_coordinator(self, names: str | Sequence[str], timeout: float = 1.0) -> BroadcastReplies:
        """Have coordinators leave the mesh: they hand what waits to another one, let end what runs, and end."""
        return self.broadcast("drain_coordinator", destination=names, timeout=timeout)

    def shutdown(self, destination: str | Sequence[str] | None = None, timeout: float = 1.0) -> BroadcastReplies:
        """Have workers finish what runs, give back the rest, and end."""
        return self.broadcast("shutdown", destination=destination, timeout=timeout)

    def inspect(self, destination: str | Sequence[str] | None = None, timeout: float = 1.0) -> Inspect:
        """Questions to nodes."""
        return Inspect(self, destination, timeout)


def _names(given: str | Sequence[str] | None) -> list[str]:
    """One name, or several."""
    return [given] if isinstance(given, str) and given else list(given or ())


def _warn_of_duplicates(nodes: Sequence[str]) -> None:
    known = set(nodes)
    names = sorted(each for each in known if f"{each}#2" in known)
    if names:
        text = f"several nodes are named {', '.join(names)}: give each a name of its own, with actorq worker -n NAME"
        warn_program(text, DuplicateNodenameWarning)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]


class Inspect:
    """Questions to nodes: each returns ``{node: answer}``; `missing` of it names those that did not answer."""

    def __init__(self, control: Control, destination: str | Sequence[str] | None, timeout: float) -> None:
        self._control = control
        self._destination = destination
        self._timeout = timeout

    def _ask(self, command: str) -> BroadcastReplies:
        return self._control.broadcast(command, destination=self._destination, timeout=self._timeout)

    def ping(self) -> BroadcastReplies:
        """``{"ok": "pong"}``."""
        return self._ask("ping")

    def stats(self) -> BroadcastReplies:
        """Counts, pool, uptime and resource usage."""
        return self._ask("stats")

    def active(self) -> BroadcastReplies:
        """Calls that run now."""
        return self._ask("active")

    def reserved(self) -> BroadcastReplies:
        """Calls that were leased and have not started."""
        return self._ask("reserved")

    def registered(self) -> BroadcastReplies:
        """Names of the tasks that the node offers."""
        return self._ask("registered")

    def active_queues(self) -> BroadcastReplies:
        """The queues of which the node takes calls: a list of `{"name": …, "routing_key": …}`."""
        return self._ask("active_queues")

    def coordinator(self) -> BroadcastReplies:
        """The coordinator's own figures: queues, workers, calls."""
        return self._ask("coordinator")

    def queues(self) -> BroadcastReplies:
        """How many calls wait in each queue."""
        return self._ask("queues")

    def dead_letters(self) -> BroadcastReplies:
        """Calls that were given up, with the reason."""
        return self._ask("dead_letters")
