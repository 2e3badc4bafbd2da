"""Settings as they are shown to people and to monitors: without what is secret in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "********"
SECRET_NAME = re.compile(r"(^|_)(key|api|token|secret|pass|password|passwd|signature)s?(_|$)", re.IGNORECASE)
PUBLIC_NAMES = frozenset({"task_default_routing_key", "routing_key"})
PASSWORD_IN_URL = re.compile(r"(?<=://)([^/@:\s]*):([^@\s]*)(?=@)")
WIDTH = 100


def censored(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings, without keys and passwords."""
    return {name: _shown(name, value) for name, value in values.items()}


def humanized(values: Mapping[str, Any]) -> str:
    """A line for each setting."""
    return "\n".join(f"{name}: {_short(repr(value))}" for name, value in values.items())


def _shown(name: object, value: Any) -> Any:
    if isinstance(name, str) and name not in PUBLIC_NAMES and SECRET_NAME.search(name) and value:
        return HIDDEN
    if isinstance(value, str):
        return PASSWORD_IN_URL.sub(rf"\1:{HIDDEN}", value)
    if isinstance(value, Mapping):
        return {key: _shown(key, each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_shown("", each) for each in value]) if type(value) in (list, tuple) else value
    return value


def _short(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
