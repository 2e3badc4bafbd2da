"""Queues and exchanges as an application names them: light values, of the names that users of Celery know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from actorq.errors import ImproperlyConfigured, QueueNotFound, nearest
from actorq.policies.routing import BROADCAST, DIRECT, check_kind, owner_of


class Exchange:
    """Where calls with an address are sent: bindings lead from it to queues.

    type: direct, topic, fanout or headers; see `actorq.policies.routing`. Raises ImproperlyConfigured for another one.
    """

    def __init__(self, name: str = "", type: str = DIRECT, **unused: Any) -> None:
        self.name = name
        self.type = check_kind(type)

    def __repr__(self) -> str:
        return f"Exchange({self.name!r}, {self.type!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exchange) and (self.name, self.type) == (other.name, other.type)

    def __hash__(self) -> int:
        return hash((self.name, self.type))


class Queue:
    """A queue, and the binding that leads to it.

    exchange: an Exchange, or its name; default: none, as all queues are reached by their names anyway. routing_key: of
    the binding; default: the queue's name. bindings: more of them, as (exchange, routing key). binding_arguments: of a
    headers exchange, the headers that are asked for, and `x-match`. dead_letter_expired: whether calls that expire in it
    are kept among the dead letters. What else kombu's Queue takes is accepted, and has nothing to do here.
    """

    def __init__(
        self,
        name: str = "",
        exchange: Exchange | str | None = None,
        routing_key: str | None = None,
        *,
        bindings: Iterable[tuple[Exchange | str, str]] = (),
        binding_arguments: Mapping[str, Any] | None = None,
        dead_letter_expired: bool = False,
        **unused: Any,
    ) -> None:
        self.name = name
        self.exchange = Exchange(exchange) if isinstance(exchange, str) else exchange or Exchange()
        self.routing_key = name if routing_key is None else routing_key
        self.binding_arguments = dict(binding_arguments or {})
        self.dead_letter_expired = dead_letter_expired
        self._more = [(Exchange(each) if isinstance(each, str) else each, key) for each, key in bindings]

    @property
    def bindings(self) -> list[tuple[Exchange, str]]:
        """Exchange and routing key of each way that leads here."""
        first = [(self.exchange, self.routing_key)] if self.exchange.name else []
        return first + self._more

    def __repr__(self) -> str:
        ways = "".join(f", {exchange!r}, {key!r}" for exchange, key in self.bindings[:1])
        return f"{type(self).__name__}({self.name!r}{ways})"


class Broadcast(Queue):
    """A queue of which each worker that consumes it gets every call.

    A call to it runs once on each worker that is there when it is taken; the caller has the result of one of them. For
    the results of all use `Task.broadcast`.
    """

    def __init__(self, name: str, **unused: Any) -> None:
        super().__init__(name, Exchange(name, BROADCAST))


class Queues(dict[str, Queue]):
    """The queues of an application, by name.

    queues: those that are known. create_missing: whether calls may go to others. default: the name of the queue of
    calls that name none; it is among the known ones if there are no others.
    """

    def __init__(
        self,
        queues: Mapping[str, Any] | Iterable[Queue | str] | None = None,
        create_missing: bool = True,
        default: str = "default",
    ) -> None:
        super().__init__()
        self.create_missing = create_missing
        self.default = default
        for each in _listed(queues):
            self.add(each)
        if not self:
            self.add(Queue(default))
        self.consume_from = dict(self)
        """Those that a worker takes calls of, unless it is told otherwise."""

    def add(self, queue: Queue | str) -> Queue:
        """Make a queue known. Raises ImproperlyConfigured if it has no name."""
        if isinstance(queue, str):
            queue = Queue(queue)
        if not queue.name:
            raise ImproperlyConfigured("a queue has a name: Queue('fast')")
        self[queue.name] = queue
        return queue

    def find(self, queue: Queue | str) -> Queue:
        """The queue of that name, a new one if it may be made. Raises QueueNotFound."""
        if isinstance(queue, Queue):
            return queue
        known = self.get(queue)
        if known is not None or self.create_missing or owner_of(queue):
            return known or Queue(queue)
        hint = nearest(queue, self) or "add it to task_queues, or set task_create_missing_queues"
        raise QueueNotFound(f"there is no queue {queue!r} in task_queues: {hint}")

    def select(self, names: Iterable[str]) -> None:
        """Take calls of these only. Raises QueueNotFound."""
        self.consume_from = {name: self.find(name) for name in names}

    def deselect(self, names: Iterable[str]) -> None:
        """Take no calls of these. Raises QueueNotFound for one that is not known, as that would change nothing."""
        for name in names:
            if name not in self.consume_from:
                hint = nearest(name, self.consume_from) or f"those are {', '.join(self.consume_from)}"
                raise QueueNotFound(f"{name!r} is not among the queues that are consumed: {hint}")
            del self.consume_from[name]

    def declarations(self) -> list[list[Any]]:
        """What the mesh has to know of them, as `app.control.declare` says it."""
        said = [each for queue in self.values() for each in declarations_of(queue)]
        return list({(each[0], *each[1]): each for each in said}.values())


def declarations_of(queue: Queue) -> Iterator[list[Any]]:
    """What the mesh has to know of one queue; of a plain one, nothing."""
    if queue.dead_letter_expired:
        yield ["queue", [queue.name], {"dead_letter_expired": True}]
    for exchange, key in queue.bindings:
        yield ["exchange", [exchange.name], {"type": exchange.type}]
        if exchange.type != BROADCAST:
            yield ["binding", [exchange.name, queue.name, key], {"headers": queue.binding_arguments}]


def _listed(queues: Mapping[str, Any] | Iterable[Queue | str] | None) -> Iterator[Queue | str]:
    """The values of `task_queues`: a list, or a dict whose values say more, as keywords of Queue or as one."""
    if not isinstance(queues, Mapping):
        yield from queues or ()
        return
    for name, said in queues.items():
        if isinstance(said, Queue):
            said.name = said.name or name
            yield said
        else:
            yield _from_dict(name, dict(said or {}))


def _from_dict(name: str, said: dict[str, Any]) -> Queue:
    exchange = said.pop("exchange", None)
    kind = said.pop("exchange_type", DIRECT)
    if isinstance(exchange, str):
        exchange = Exchange(exchange, kind)
    key = said.pop("routing_key", said.pop("binding_key", None))
    return Queue(name, exchange, key, **said)


def queue_of(queue: Queue | str) -> str:
    """The name of a queue. Raises ImproperlyConfigured if it has none."""
    name = queue.name if isinstance(queue, Queue) else queue
    if not isinstance(name, str) or not name:
        raise ImproperlyConfigured(f"a queue is given by its name or as Queue, and not as {queue!r}")
    return name
