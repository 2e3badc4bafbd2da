"""The serializers that an application knows, and which of them it accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from actorq.errors import ContentDisallowed, DecodeError, EncodeError, ImproperlyConfigured, nearest
from actorq.wire.payload import cloudpickle_codec, json_codec, msgpack_codec
from actorq.wire.payload.call import as_call
from actorq.wire.payload.refusal import Named, arguments, error_text, refusal

Dumps = Callable[[object], bytes]
Loads = Callable[["bytes | memoryview"], Any]
EncodeCall = Callable[[Sequence[Any], "dict[str, Any]"], bytes]
DecodeCall = Callable[["bytes | memoryview"], "tuple[list[Any], dict[str, Any]]"]

DEFAULT_SERIALIZER = "msgpack"
DEFAULT_ACCEPT_CONTENT = ("msgpack", "json")


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


def serializer(name: str, dumps: Dumps, loads: Loads) -> Serializer:
    """A Serializer of two functions that may raise anything. `loads` has to take bytes and memoryview."""

    def encode(value: object, roots: Iterable[Named]) -> bytes:
        try:
            return dumps(value)
        except EncodeError:
            raise
        except Exception as error:
            raise refusal(name, roots, dumps, error) from error

    def decode(data: bytes | memoryview) -> Any:
        try:
            return loads(data)
        except DecodeError:
            raise
        except Exception as error:
            raise DecodeError(f"not a {name} payload: {error_text(error)}") from error

    return Serializer(
        name=name,
        dumps=lambda value: encode(value, [("value", value)]),
        loads=decode,
        encode_call=lambda args, kwargs: encode([[*args], kwargs], arguments(args, kwargs)),
        decode_call=lambda body: as_call(decode(body)),
    )


class Serializers:
    """The serializers of one application, by name, with the list of those whose payloads it opens.

    Encoding is open to every registered serializer; `accept_content` guards the receiving side, because to open a
    pickle is to run it. Where many calls use the same one, look it up once with `get` or `opener`.
    """

    def __init__(self, known: Iterable[Serializer], accept_content: Iterable[str] = DEFAULT_ACCEPT_CONTENT) -> None:
        self._known = {each.name: each for each in known}
        self._accept_content = frozenset(accept_content)
        self._accepted = {name: each for name, each in self._known.items() if name in self._accept_content}

    @classmethod
    def default(cls, accept_content: Iterable[str] = DEFAULT_ACCEPT_CONTENT) -> Serializers:
        """A fresh registry of msgpack, json and cloudpickle. Of these, cloudpickle is opened only if it is listed."""
        return cls(
            [
                Serializer(
                    "msgpack",
                    msgpack_codec.dumps,
                    msgpack_codec.loads,
                    msgpack_codec.encode_call,
                    msgpack_codec.decode_call,
                ),
                serializer("json", json_codec.dumps, json_codec.loads),
                serializer("cloudpickle", cloudpickle_codec.dumps, cloudpickle_codec.loads),
            ],
            accept_content,
        )

    @property
    def accept_content(self) -> frozenset[str]:
        """The names of the serializers whose payloads are opened here."""
        return self._accept_content

    def accept(self, accept_content: Iterable[str]) -> None:
        """From now on, open payloads of these serializers, and of no others."""
        self._accept_content = frozenset(accept_content)
        self._accepted = {name: each for name, each in self._known.items() if name in self._accept_content}

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def register(self, name: str, dumps: Dumps, loads: Loads) -> None:
        """Add a serializer, or replace the one of that name. To open its payloads, list it in `accept_content` too."""
        self._known[name] = serializer(name, dumps, loads)
        if name in self._accept_content:
            self._accepted[name] = self._known[name]

    def get(self, name: str) -> Serializer:
        """The serializer of that name. Raises ImproperlyConfigured if there is none."""
        found = self._known.get(name)
        if found is None:
            known = ", ".join(sorted(self._known))
            hint = nearest(name, self._known) or "add it with register()"
            raise ImproperlyConfigured(f"no serializer {name!r} is registered (known: {known}): {hint}")
        return found

    def dumps(self, name: str, value: object) -> bytes:
        """`value` as bytes. Raises EncodeError, or ImproperlyConfigured if no serializer has that name."""
        return self.get(name).dumps(value)

    def loads(self, name: str, data: bytes | memoryview) -> Any:
        """The value in `data`. Raises DecodeError, or its subclass ContentDisallowed before anything is opened."""
        return (self._accepted.get(name) or self._refuse(name)).loads(data)  # `opener`, without its call: each get().

    def encode_call(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> bytes:
        """The arguments of a call as bytes. Raises as `dumps` does; the EncodeError names the argument."""
        return self.get(name).encode_call(args, kwargs)

    def decode_call(self, name: str, body: bytes | memoryview) -> tuple[list[Any], dict[str, Any]]:
        """The ``(args, kwargs)`` in `body`. Raises as `loads` does."""
        return self.opener(name).decode_call(body)

    def opener(self, name: str) -> Serializer:
        """The serializer to open a payload with. Raises ContentDisallowed, or DecodeError if none has that name."""
        return self._accepted.get(name) or self._refuse(name)

    def _refuse(self, name: str) -> NoReturn:
        if name in self._accept_content:
            raise DecodeError(f"no serializer {name!r} is registered here: add it with register() on every node")
        raise ContentDisallowed(name, self._accept_content)
