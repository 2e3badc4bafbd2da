"""The form of a call's arguments in every serializer: ``[args, kwargs]``."""

from __future__ import annotations

from typing import Any

from actorq.errors import DecodeError


def as_call(decoded: Any) -> tuple[list[Any], dict[str, Any]]:
    """`decoded` as ``(args, kwargs)``. Raises DecodeError if it has not that form."""
    if type(decoded) is list and len(decoded) == 2:
        args, kwargs = decoded
        if type(args) is list and type(kwargs) is dict:
            return args, kwargs
    raise DecodeError("not the arguments of a call: these are [args, kwargs], a list and a dict")
