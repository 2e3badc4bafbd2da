"""A serializer: how values become bytes and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from actorq.errors import DecodeError, EncodeError, ImproperlyConfigured
from actorq.wire.payload.call import as_call
from actorq.wire.payload.refusal import Named, arguments, error_text, refusal

Dumps = Callable[[object], bytes]
Loads = Callable[["bytes | memoryview"], Any]
EncodeCall = Callable[[Sequence[Any], "dict[str, Any]"], bytes]
DecodeCall = Callable[["bytes | memoryview"], "tuple[list[Any], dict[str, Any]]"]


def nothing_to_check() -> None:
    """For what needs no library."""


@dataclass(frozen=True, slots=True)
class Serializer:
    """How values become bytes and back, under a name that travels with each payload.

    `dumps` and `encode_call` raise EncodeError and nothing else, `loads` and `decode_call` DecodeError. Make one from
    two plain functions with `serializer()`.
    """

    name: str
    dumps: Dumps
    loads: Loads
    encode_call: EncodeCall
    """``(args, kwargs)`` as bytes; kept apart from `dumps` because it is what every call pays for."""
    decode_call: DecodeCall
    check: Callable[[], None] = nothing_to_check
    """Raises ImproperlyConfigured if its library is not installed."""


def serializer(name: str, dumps: Dumps, loads: Loads, check: Callable[[], None] = nothing_to_check) -> Serializer:
    """A Serializer of two functions that may raise anything. `loads` has to take bytes and memoryview."""

    def encode(value: object, roots: Iterable[Named]) -> bytes:
        try:
            return dumps(value)
        except EncodeError:
            raise
        except ImproperlyConfigured as error:
            raise EncodeError(str(error)) from error
        except Exception as error:
            raise refusal(name, roots, dumps, error) from error

    def decode(data: bytes | memoryview) -> Any:
        try:
            return loads(data)
        except DecodeError:
            raise
        except ImproperlyConfigured as error:
            raise DecodeError(str(error)) from error
        except Exception as error:
            raise DecodeError(f"not a {name} payload: {error_text(error)}") from error

    return Serializer(
        name=name,
        dumps=lambda value: encode(value, [("value", value)]),
        loads=decode,
        encode_call=lambda args, kwargs: encode([[*args], kwargs], arguments(args, kwargs)),
        decode_call=lambda body: as_call(decode(body)),
        check=check,
    )
