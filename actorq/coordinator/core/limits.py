"""What peers can make a coordinator hold, and what is at the limit of each: `docs/limits.md` lists it."""

from __future__ import annotations

from collections.abc import Iterable

from actorq.coordinator.core.clients import Client
from actorq.coordinator.core.effects import Peer
from actorq.coordinator.core.state import SPEC_LIMIT, State
from actorq.wire import messages as m
from actorq.wire.messages import Message


def why_rejected(state: State, peer: Peer, hello: Message) -> str:
    """Why there is no room for the session that `hello` opens; empty if there is."""
    settings = state.settings
    is_another = peer not in state.peers and peer not in state.controls
    is_known = isinstance(hello, (m.WorkerHello, m.ControlHello)) and hello.epoch in state.workers
    limit = settings.session_limit + (m.MEMBER_LIMIT if isinstance(hello, m.PeerHello) else 0)
    if is_another and not is_known and len(state.peers) + len(state.controls) >= limit:
        state.hits["sessions"] += 1
        return f"{settings.session_limit:,} clients and workers are connected, which is this coordinator's limit"
    if isinstance(hello, (m.WorkerHello, m.ControlHello)):
        return _why_no_worker(state, hello)
    return ""


def _why_no_worker(state: State, hello: m.WorkerHello | m.ControlHello) -> str:
    settings = state.settings
    if len(state.workers) >= settings.worker_limit and hello.epoch not in state.workers:
        state.hits["workers"] += 1
        return f"{settings.worker_limit:,} worker nodes are there, which is this coordinator's limit"
    if isinstance(hello, m.ControlHello):
        return ""
    chars = name_chars(hello.queues) + name_chars(hello.offers)
    if chars > settings.worker_name_chars:
        state.hits["worker_names"] += 1
        return (
            f"the names of this worker's queues and tasks have {chars:,} characters together, and the limit is "
            f"{settings.worker_name_chars:,}: let it offer fewer tasks"
        )
    return ""


def name_chars(names: Iterable[str]) -> int:
    """Characters of these names together."""
    return sum(map(len, names))


def clients_to_forget(state: State) -> list[Client]:
    """Those that have been away for too long, and the first to leave of those that are too many."""
    away = [client for client in state.clients.values() if client.peer is None]
    excess = len(away) - state.settings.client_count
    if excess > 0:
        state.hits["clients_away"] += excess
        away.sort(key=lambda client: client.left_s)
    gone_s = state.now_s - state.settings.client_age_s
    return [client for place, client in enumerate(away) if place < excess or client.left_s < gone_s]


def usage(state: State, orders: int) -> dict[str, dict[str, int]]:
    """By the name of each limit: what there is `now`, the `limit`, and how often it was reached (`hits`).

    Of limits that are those of one client, `now` is what the client has that has most.
    """
    settings, clients = state.settings, state.clients.values()
    fullest = max((queue.size for queue in state.lanes.queues.values()), default=0)
    rows = {
        "calls": (len(state.calls), settings.call_limit),
        "queue": (fullest, settings.queue_limit),
        "arguments": (state.body_bytes, settings.queued_bytes),
        "window": (max((each.deferred_bytes for each in clients), default=0), settings.client_window_bytes),
        "sessions": (len(state.peers) + len(state.controls), settings.session_limit),
        "workers": (len(state.workers), settings.worker_limit),
        "worker_names": (_most_name_chars(state), settings.worker_name_chars),
        "watched": (
            max((len(each.watched) for each in clients if not each.is_coordinator), default=0),
            settings.watch_limit,
        ),
        "orders": (orders, settings.order_limit),
        "clients_away": (sum(each.peer is None for each in clients), settings.client_count),
        "code": (state.code_bytes, settings.code_limit_bytes),
        "specs": (len(state.entries), SPEC_LIMIT),
        "declarations": (len(state.topology), settings.declaration_limit),
    }
    return {name: {"now": now, "limit": limit, "hits": state.hits[name]} for name, (now, limit) in rows.items()}


def _most_name_chars(state: State) -> int:
    groups = state.lanes.groups.values()
    return max((sum(map(len, (*group.queues, *group.offers))) for group in groups), default=0)
