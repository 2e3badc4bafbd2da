"""Where an address leads: patterns of routing keys and headers, as in AMQP. Pure values and functions.

Whoever sends names an *exchange* and a routing key (and headers); *bindings* lead from exchanges to queues.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from actorq.errors import ImproperlyConfigured, nearest

DIRECT, TOPIC, FANOUT, HEADERS, BROADCAST = "direct", "topic", "fanout", "headers", "broadcast"
KINDS = (DIRECT, TOPIC, FANOUT, HEADERS, BROADCAST)
"""Of exchanges. The last one is ours: it leads to each worker that consumes the queue of its name now."""
X_MATCH = "x-match"
"""Among the headers of a binding: whether `all` of the others must be there, or `any`."""
DIRECT_QUEUE = ".dq"
"""Ends the name of the queue that is one worker's own."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A way from an exchange to a queue."""

    exchange: str
    queue: str
    routing_key: str = ""
    """Direct: the key itself. Topic: a pattern. Fanout and headers do not look at it."""
    headers: Mapping[str, Any] = field(default_factory=dict)
    """Of a headers exchange: what is asked for, and `x-match`."""

    def takes(self, kind: str, routing_key: str, headers: Mapping[str, Any]) -> bool:
        """Whether a call with this address goes this way, from an exchange of this kind."""
        if kind == FANOUT:
            return True
        if kind == TOPIC:
            return topic_matches(self.routing_key, routing_key)
        if kind == HEADERS:
            return headers_match(self.headers, headers)
        return self.routing_key == routing_key


def targets(kind: str, bindings: Iterable[Binding], routing_key: str, headers: Mapping[str, Any]) -> list[str]:
    """The queues that a call goes to, each once, in the order of the bindings."""
    return list(dict.fromkeys(each.queue for each in bindings if each.takes(kind, routing_key, headers)))


def topic_matches(pattern: str, routing_key: str) -> bool:
    """Whether a topic pattern takes a key. Words have dots between; ``*`` is one word, ``#`` any number, also none."""
    words, wanted = _words(routing_key), _words(pattern)
    place = taken = 0
    last_hash, resume = -1, 0
    while taken < len(words):
        if place < len(wanted) and wanted[place] == "#":
            last_hash, resume = place, taken
            place += 1
        elif place < len(wanted) and wanted[place] in ("*", words[taken]):
            place += 1
            taken += 1
        elif (
            last_hash >= 0
        ):  # The last ``#`` takes one word more. (An earlier one need not: it would find nothing else.)
            resume += 1
            place, taken = last_hash + 1, resume
        else:
            return False
    return all(word == "#" for word in wanted[place:])


def _words(text: str) -> list[str]:
    return text.split(".") if text else []


def headers_match(wanted: Mapping[str, Any], headers: Mapping[str, Any]) -> bool:
    """Whether headers are as a binding wants them: all of its, or, with ``x-match: any``, one. Those in ``x-`` are not
    compared. A binding that wants nothing takes everything.
    """
    compared = [(name, value) for name, value in wanted.items() if not name.startswith("x-")]
    found = (name in headers and headers[name] == value for name, value in compared)
    return any(found) or not compared if wanted.get(X_MATCH) == "any" else all(found)


def check_kind(kind: str) -> str:
    """The kind, if there is such a one. Raises ImproperlyConfigured."""
    if kind not in KINDS:
        hint = nearest(kind, KINDS) or f"known are {', '.join(KINDS)}"
        raise ImproperlyConfigured(f"there is no exchange of type {kind!r}: {hint}")
    return kind


def worker_direct(hostname: str) -> str:
    """The queue that one worker consumes, and no other: ``apply_async(queue=worker_direct("worker-1@host"))``."""
    return hostname if hostname.endswith(DIRECT_QUEUE) else hostname + DIRECT_QUEUE


def owner_of(queue: str) -> str:
    """The name of the worker whose own queue that is; empty if it is a queue for all."""
    return queue[: -len(DIRECT_QUEUE)] if queue.endswith(DIRECT_QUEUE) else ""
