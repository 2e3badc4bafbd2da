"""The part of `app.control` that is about queues, exchanges, bindings and dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from actorq.errors import ImproperlyConfigured
from actorq.policies.queues import Exchange, Queue, declarations_of
from actorq.policies.routing import check_kind

if TYPE_CHECKING:
    from actorq.control.control import BroadcastReplies

Names = str | Sequence[str]


class QueueControl:
    """Orders and questions about queues. Each goes to all coordinators; they have what they have each on its own."""

    if TYPE_CHECKING:

        def broadcast(
            self,
            command: str,
            arguments: dict[str, Any] | None = None,
            destination: str | Sequence[str] | None = None,
            timeout: float = 1.0,
        ) -> BroadcastReplies: ...

    # -- queues --------------------------------------------------------------------------------------------------

    def queues(self, timeout: float = 1.0) -> dict[str, dict[str, Any]]:
        """What waits in each queue of the mesh: `size`, `oldest_wait_s`, `consumers` (worker nodes), `paused`, and
        `without_offer`, how many calls wait for a worker that offers their task, by task.
        """
        merged: dict[str, dict[str, Any]] = {}
        for reply in self.broadcast("queue_details", timeout=timeout).values():
            for name, found in reply.items():
                known = merged.get(name)
                merged[name] = found if known is None else _merged(known, found)
        return merged

    def pause_queue(self, queue: str, timeout: float = 1.0) -> BroadcastReplies:
        """Have calls of a queue wait: it takes them, and workers get none. What they have already they run."""
        return self._declare([["pause", [queue], {"paused": True}]], timeout)

    def resume_queue(self, queue: str, timeout: float = 1.0) -> BroadcastReplies:
        """Have calls of a paused queue run again."""
        return self._declare([["pause", [queue], {"paused": False}]], timeout)

    def purge(self, queues: Names = (), timeout: float = 5.0) -> int:
        """End all calls that wait in these queues, or in all, as REVOKED. Returns how many. What runs goes on."""
        names = [queues] if isinstance(queues, str) else list(queues)
        replies = self.broadcast("purge_queues", {"queues": names}, timeout=timeout)
        return sum(count for reply in replies.values() for count in reply.values())

    discard_all = purge

    def consumers(self, queue: str = "", task: str = "", timeout: float = 1.0) -> list[str]:
        """Names of the workers that take calls of a queue now, and offer a task."""
        replies = self.broadcast("consumers", {"queue": queue, "task": task}, timeout=timeout)
        return sorted({name for reply in replies.values() for name in reply})

    def add_consumer(
        self, queue: str, destination: str | Sequence[str] | None = None, timeout: float = 1.0, **unused: Any
    ) -> BroadcastReplies:
        """Have workers take calls of a queue, until they end."""
        return self.broadcast("add_consumer", {"queue": queue}, destination, timeout)

    def cancel_consumer(
        self, queue: str, destination: str | Sequence[str] | None = None, timeout: float = 1.0
    ) -> BroadcastReplies:
        """Have workers take no more calls of a queue."""
        return self.broadcast("cancel_consumer", {"queue": queue}, destination, timeout)

    # -- exchanges and bindings ----------------------------------------------------------------------------------

    def declare(self, *things: Exchange | Queue, timeout: float = 1.0) -> BroadcastReplies:
        """Have the mesh know exchanges, and queues with their bindings."""
        items: list[list[Any]] = []
        for each in things:
            if isinstance(each, Exchange):
                items.append(["exchange", [each.name], {"type": each.type}])
            else:
                items += declarations_of(each)
        return self._declare(items, timeout)

    def bind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        *,
        headers: Mapping[str, Any] | None = None,
        type: str | None = None,
        timeout: float = 1.0,
    ) -> BroadcastReplies:
        """Lead an exchange to a queue. type: also declare the exchange, with this type."""
        items: list[list[Any]] = [["binding", [exchange, queue, routing_key], {"headers": dict(headers or {})}]]
        if type is not None:
            items.insert(0, ["exchange", [exchange], {"type": check_kind(type)}])
        return self._declare(items, timeout)

    def unbind(self, queue: str, exchange: str, routing_key: str = "", timeout: float = 1.0) -> BroadcastReplies:
        """Take a binding back."""
        return self._declare([["binding", [exchange, queue, routing_key], None]], timeout)

    def declare_new(self, items: Iterable[list[Any]], timeout: float) -> None:
        """As `declare`, of what `Queues.declarations` says; what the mesh knows already stays, also as gone."""
        self._declare(items, timeout, only_new=True)

    def topology(self, timeout: float = 1.0) -> list[list[Any]]:
        """All that is declared: kind, names, value, and when it was said."""
        replies = self.broadcast("topology", timeout=timeout)
        found = {(each[0], *each[1]): each for reply in replies.values() for each in reply}
        return [found[key] for key in sorted(found)]

    def _declare(self, items: Iterable[list[Any]], timeout: float, only_new: bool = False) -> BroadcastReplies:
        replies = self.broadcast("declare", {"items": list(items), "only_new": only_new}, timeout=timeout)
        for reply in replies.values():
            if "error" in reply:
                raise ImproperlyConfigured(reply["error"])
        return replies

    # -- dead letters --------------------------------------------------------------------------------------------

    def dead_letters(self, ids: Names = (), queue: str = "", timeout: float = 1.0) -> list[dict[str, Any]]:
        """Calls that were given up, with the reason; all, or those of these ids, or of one queue."""
        return self._letters("dead_letters", ids, queue, timeout)

    def show_dead_letters(self, ids: Names = (), queue: str = "", timeout: float = 1.0) -> list[dict[str, Any]]:
        """The same with the arguments of the calls: `body`, as encoded by `serializer`."""
        return self._letters("show_dead_letters", ids, queue, timeout)

    def replay_dead_letters(self, ids: Names = (), queue: str = "", timeout: float = 5.0) -> dict[str, str]:
        """Run them again, under new ids. Returns the new id of each, or ``error: …``. The letters are gone then."""
        replies = self.broadcast("replay_dead_letters", _chosen(ids, queue), timeout=timeout)
        return {task_id: became for reply in replies.values() for task_id, became in reply.items()}

    def purge_dead_letters(self, ids: Names = (), queue: str = "", timeout: float = 1.0) -> int:
        """Forget them. Returns how many."""
        return sum(self.broadcast("purge_dead_letters", _chosen(ids, queue), timeout=timeout).values())

    def _letters(self, command: str, ids: Names, queue: str, timeout: float) -> list[dict[str, Any]]:
        replies = self.broadcast(command, _chosen(ids, queue), timeout=timeout)
        letters = [letter for reply in replies.values() for letter in reply]
        return sorted(letters, key=lambda letter: float(letter.get("time", 0)))


def _chosen(ids: Names, queue: str) -> dict[str, Any]:
    return {"ids": [ids] if isinstance(ids, str) else list(ids), "queue": queue}


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What two coordinators have of one queue. Workers are connected to both."""
    without = dict(one["without_offer"])
    for task, count in other["without_offer"].items():
        without[task] = without.get(task, 0) + count
    return {
        "size": one["size"] + other["size"],
        "oldest_wait_s": max(one["oldest_wait_s"], other["oldest_wait_s"]),
        "consumers": max(one["consumers"], other["consumers"]),
        "paused": one["paused"] or other["paused"],
        "without_offer": without,
    }
