"""What the arguments of a command say: they come from clients, and may be anything."""

from __future__ import annotations

from typing import Any

from actorq.coordinator.core.state import TREE
from actorq.wire.records import ID_LENGTH


def ids_in(arguments: dict[str, Any], name: str = "ids") -> list[str]:
    """Those among what a client has sent that can be ids, or trees."""
    given = arguments.get(name)
    listed = given if isinstance(given, list) else []
    return [each for each in listed if isinstance(each, str) and len(each) <= ID_LENGTH + len(TREE)]
