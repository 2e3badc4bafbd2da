"""Exchanges, bindings, and what is said of queues and of the rates of tasks: data that all coordinators of the mesh have.

Each thing has one declaration, and the later one of two counts: so whatever order they come in, and however often, all
coordinators end up with the same. A coordinator that meets another one tells it all that it knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from actorq.config import DEFAULT_QUEUE
from actorq.errors import ImproperlyConfigured, nearest
from actorq.policies import routing
from actorq.policies.rate import Rate, parse_rate
from actorq.policies.routing import BROADCAST, DIRECT, Binding, check_kind, worker_direct
from actorq.stores.api import ForgetDeclarations, KeepDeclarations
from actorq.wire.declarations import BINDING, EXCHANGE, PAUSE, QUEUE, RATE, Declaration
from actorq.wire.records import CallSpec

if TYPE_CHECKING:
    from actorq.coordinator.core.state import State

Identity = tuple[str, ...]
ROUTES_KEPT = 10_000
LONGEST_BYTES = 8192
"""One declaration."""
_NAMES = {EXCHANGE: 1, QUEUE: 1, PAUSE: 1, BINDING: 3, RATE: 1}
"""How many names each kind of declaration has."""
_LEAST_S = 1e-3
"""Between two declarations of one coordinator, as far as which is later is concerned."""


class Topology:
    """What one coordinator knows of it."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._declared: dict[Identity, Declaration] = {}
        """Also what is gone, so that nobody who has not heard so brings it back."""
        self._bindings: dict[str, dict[Identity, Binding]] = {}
        """By exchange."""
        self._routes: dict[CallSpec, list[str]] = {}
        self._latest_s = 0.0

    def __len__(self) -> int:
        return len(self._declared)

    def all(self) -> list[Declaration]:
        """Everything, also what is gone."""
        return list(self._declared.values())

    # -- what is declared ----------------------------------------------------------------------------------------

    def new_time_s(self) -> float:
        """A time for what is declared now: later than all that is known, whatever the clock says."""
        return max(self._state.wall_s, self._latest_s + _LEAST_S)

    def declare(self, declarations: Iterable[Declaration], only_new: bool = False) -> int:
        """Take these, but for those of which something later is known; with `only_new`, anything. Returns how many were
        taken. Raises ImproperlyConfigured for what makes no sense, or if there are too many: then none is.
        """
        taken = [each for each in map(_checked, declarations) if self._is_news(each, only_new)]
        if not taken:
            return 0
        self._make_room(len({each.identity for each in taken} - self._declared.keys()))
        for each in taken:
            self._apply(each)
        if self._state.settings.durable:
            self._state.operations.append(KeepDeclarations(taken))
        return len(taken)

    def restore(self, declarations: Iterable[Declaration]) -> None:
        """These were kept in the journal."""
        for each in declarations:
            self._apply(each)

    def _is_news(self, declaration: Declaration, only_new: bool) -> bool:
        known = self._declared.get(declaration.identity)
        return known is None or (not only_new and _order(known) < _order(declaration))

    def _make_room(self, count: int) -> None:
        limit = self._state.settings.declaration_limit
        excess = len(self._declared) + count - limit
        if excess <= 0:
            return
        gone = sorted((each.at_s, each.identity) for each in self._declared.values() if each.value is None)
        if excess > len(gone):
            self._state.hits["declarations"] += 1
            raise ImproperlyConfigured(
                f"{limit:,} exchanges, queues and bindings are declared, which is this coordinator's limit: take back "
                f"some that are not used"
            )
        forgotten = [identity for _, identity in gone[:excess]]
        for identity in forgotten:
            del self._declared[identity]
        if self._state.settings.durable:
            self._state.operations.append(ForgetDeclarations(forgotten))

    def _apply(self, declaration: Declaration) -> None:
        self._declared[declaration.identity] = declaration
        self._latest_s = max(self._latest_s, declaration.at_s)
        self._routes.clear()
        value = declaration.value
        if declaration.kind == PAUSE:
            self._state.lanes.set_paused(declaration.names[0], bool(value and value.get("paused")))
        elif declaration.kind == RATE:
            if value is None:
                self._state.gates.forget_rate(declaration.names[0])
            else:
                self._state.set_rate(declaration.names[0], _rate_in(value))
        elif declaration.kind == BINDING:
            exchange, queue, key = declaration.names
            bindings = self._bindings.setdefault(exchange, {})
            if value is None:
                bindings.pop(declaration.identity, None)
            else:
                headers = value.get("headers")
                found = headers if isinstance(headers, dict) else {}
                bindings[declaration.identity] = Binding(exchange, queue, key, found)

    # -- what follows from it ------------------------------------------------------------------------------------

    def option(self, queue: str, name: str) -> Any:
        """What was said of a queue; None if nothing was."""
        declared = self._declared.get((QUEUE, queue))
        return declared.value.get(name) if declared is not None and declared.value else None

    def queues(self) -> set[str]:
        """The queues of which something is known."""
        known = {each.names[0] for each in self._declared.values() if each.kind in (QUEUE, PAUSE) and each.value}
        return known | {binding.queue for bindings in self._bindings.values() for binding in bindings.values()}

    def targets(self, spec: CallSpec) -> list[str]:
        """The queues that calls go to whose spec has an address and no queue. Raises ImproperlyConfigured if none."""
        queues = self._routes.get(spec)
        if queues is None:
            queues = self._find(spec)
            if self._kind_of(spec.exchange) != BROADCAST:  # Where that leads depends on who is there.
                if len(self._routes) >= ROUTES_KEPT:
                    self._routes.clear()
                self._routes[spec] = queues
        return queues

    def _kind_of(self, exchange: str) -> str:
        declared = self._declared.get((EXCHANGE, exchange))
        return str(declared.value.get("type", DIRECT)) if declared is not None and declared.value is not None else ""

    def _find(self, spec: CallSpec) -> list[str]:
        if not spec.exchange:
            return [spec.routing_key or DEFAULT_QUEUE]
        kind = self._kind_of(spec.exchange)
        if not kind:
            known = [each.names[0] for each in self._declared.values() if each.kind == EXCHANGE and each.value]
            hint = nearest(spec.exchange, known) or "declare it, with app.control.declare() or in task_queues"
            raise ImproperlyConfigured(f"there is no exchange {spec.exchange!r}: {hint}")
        if kind == BROADCAST:
            return self._consumers(spec)
        bindings = self._bindings.get(spec.exchange, {}).values()
        queues = routing.targets(kind, bindings, spec.routing_key, dict(spec.routing_headers))
        if not queues:
            raise ImproperlyConfigured(
                f"the {kind} exchange {spec.exchange!r} leads to no queue by the routing key {spec.routing_key!r}"
                f"{' and these headers' if kind == routing.HEADERS else ''}: bind one with app.control.bind(), or use "
                f"another key"
            )
        return queues

    def _consumers(self, spec: CallSpec) -> list[str]:
        names = consumers(self._state, spec.exchange)
        if not names:
            raise ImproperlyConfigured(
                f"no worker consumes {spec.exchange!r} now, so nobody would run it: start one with -Q {spec.exchange}"
            )
        return [worker_direct(name) for name in names]


def consumers(state: State, queue: str, offer: str = "") -> list[str]:
    """Names of the workers that consume a queue (empty: whichever) now, and offer a task (empty: whichever)."""
    found = [
        worker.name
        for worker in state.workers.values()
        if (not queue or queue in worker.group.queues or queue == worker_direct(worker.name))
        and (not offer or offer in worker.group.offers)
        and not worker.is_out_of_touch()
    ]
    return sorted(set(found))


def read_declarations(given: Any, at_s: float | None) -> list[Declaration]:
    """The declarations in the arguments of a command; `at_s`: when they were said, where they do not say so themselves.
    Raises ImproperlyConfigured.
    """
    try:
        read = msgspec.convert(given, list[Declaration])
    except msgspec.ValidationError as error:
        raise ImproperlyConfigured(f"this cannot be declared: {error}") from None
    return read if at_s is None else [msgspec.structs.replace(each, at_s=at_s) for each in read]


def _checked(declaration: Declaration) -> Declaration:
    count = _NAMES.get(declaration.kind)
    if count is None or len(declaration.names) != count:
        hint = nearest(declaration.kind, _NAMES) or f"known are {', '.join(_NAMES)}"
        what = f"{declaration.kind[:100]!r} of {len(declaration.names)} names"
        raise ImproperlyConfigured(f"{what} cannot be declared: {hint}")
    if not 0 <= declaration.at_s < float("inf"):
        raise ImproperlyConfigured(f"{declaration.kind} {declaration.names[0]!r} is declared at no point in time")
    if declaration.kind == EXCHANGE and declaration.value is not None:
        check_kind(str(declaration.value.get("type", DIRECT)))
    if declaration.kind == RATE and declaration.value is not None:
        _rate_in(declaration.value)
    size_bytes = len(msgspec.msgpack.encode(declaration))
    if size_bytes > LONGEST_BYTES:
        raise ImproperlyConfigured(
            f"what is declared of {declaration.kind} {declaration.names[0][:100]!r} has {size_bytes:,} bytes, and the "
            f"limit is {LONGEST_BYTES:,}: ask for fewer headers"
        )
    if declaration.kind != PAUSE and not all(declaration.names[:2]):
        raise ImproperlyConfigured(
            f"the {declaration.kind} has no name: the default exchange and queue are always there"
        )
    return declaration


def _rate_in(value: dict[str, Any]) -> Rate | None:
    return parse_rate(value.get("rate_limit"))


def _order(declaration: Declaration) -> tuple[float, bytes]:
    """Which of two counts. Of two that were said at the same time any one, but the same everywhere."""
    return declaration.at_s, msgspec.msgpack.encode(declaration.value, order="deterministic")


def to_arguments(declarations: Sequence[Declaration]) -> list[Any]:
    """As `read_declarations` takes them."""
    encoded: list[Any] = msgspec.to_builtins(declarations)
    return encoded
