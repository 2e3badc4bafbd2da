"""The serializers and compressions that an application knows, and which of them it accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn

from actorq.config import MAX_BODY_BYTES
from actorq.errors import ContentDisallowed, DecodeError, ImproperlyConfigured, nearest
from actorq.wire.payload import cloudpickle_codec, msgpack_codec, pickle_codec, yaml_codec
from actorq.wire.payload.compressed import compressed
from actorq.wire.payload.compression import Compressions, check_name
from actorq.wire.payload.json_codec import JsonCodec
from actorq.wire.payload.serializer import Dumps, Loads, Serializer, serializer

DEFAULT_SERIALIZER = "msgpack"
DEFAULT_ACCEPT_CONTENT = ("msgpack", "json")
PLAIN_FORMATS = frozenset({"msgpack", "json"})
"""Serializers whose payloads run nothing when they are opened, whoever has sent them."""
CONTENT_TYPES = {
    "msgpack": ("application/x-msgpack", "application/msgpack", "application/vnd.msgpack"),
    "json": ("application/json",),
    "yaml": ("application/x-yaml", "application/yaml"),
    "pickle": ("application/x-python-serialize",),
    "cloudpickle": ("application/x-cloudpickle",),
}
"""Other names of the serializers that everybody knows."""
BINARY_ENCODINGS = ("binary", "ascii-8bit")


class Serializers:
    """The serializers of one application, by name, with the list of those whose payloads it opens.

    Encoding is open to every registered serializer; `accept_content` guards the receiving side, because to open a
    pickle is to run it. Where many calls use the same one, look it up once with `get` or `opener`.

    msgpack, json, yaml, pickle and cloudpickle are there; of these, the last three are opened only if they are listed.
    Wherever a serializer is named its content type does as well (``application/json``), and, with a plus, a compression
    of its payloads: ``json+gzip``.
    """

    def __init__(self, accept_content: Iterable[str] = DEFAULT_ACCEPT_CONTENT) -> None:
        self.compressions = Compressions()
        self.max_body_bytes = MAX_BODY_BYTES
        """What a compressed payload may have at the most when it is opened."""
        self.task_compression = ""
        """Of the arguments (and so of the result) of calls for which neither task nor caller names one; empty: none."""
        self.result_compression = ""
        """Of the results, on a worker, of calls that have none; empty: none."""
        self._json = JsonCodec()
        self._known = {each.name: each for each in _built_in(self._json)}
        self._names = {alias: name for name, aliases in CONTENT_TYPES.items() for alias in aliases}
        self._listed = frozenset(accept_content)
        self._accepted: dict[str, Serializer] = {}
        self._accept()

    @classmethod
    def default(cls, accept_content: Iterable[str] = DEFAULT_ACCEPT_CONTENT) -> Serializers:
        """A fresh registry, as the constructor makes it."""
        return cls(accept_content)

    @property
    def accept_content(self) -> frozenset[str]:
        """The names of the serializers whose payloads are opened here."""
        return frozenset(self._names.get(name, name) for name in self._listed)

    def follow(
        self, accept_content: Iterable[str], task_compression: str | None, result_compression: str | None
    ) -> None:
        """From now on, open payloads of these serializers and of no others, and compress so what says nothing else."""
        self.task_compression, self.result_compression = task_compression or "", result_compression or ""
        self._listed = frozenset(accept_content)
        self._accept()

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self._names

    def register(
        self,
        name: str,
        encoder: Callable[[Any], Any],
        decoder: Callable[[Any], Any],
        content_type: str = "",
        content_encoding: str = "binary",
    ) -> None:
        """Add a serializer, or replace the one of that name. To open its payloads, list it in `accept_content` too.

        `encoder` makes bytes of a value, `decoder` the value of bytes or a memoryview; with a `content_encoding` such as
        ``utf-8`` they make and take text. `content_type` is another name for it. To be done in every program and on
        every node; in a mesh with keys, who sends such payloads needs the right by-value.
        """
        check_name(name)
        if content_encoding in BINARY_ENCODINGS:
            self._known[name] = serializer(name, encoder, decoder)
        else:
            dumps, loads = _of_text(encoder, decoder, content_encoding)
            self._known[name] = serializer(name, dumps, loads)
        if content_type:
            self._names[content_type] = name
        self._accept()

    def register_type(
        self, kind: type, marker: str, encoder: Callable[[Any], object], decoder: Callable[[Any], Any]
    ) -> None:
        """Have json carry values of a class; see `JsonCodec.register_type`."""
        self._json.register_type(kind, marker, encoder, decoder)

    def get(self, name: str, compression: str = "") -> Serializer:
        """The serializer of that name. Raises ImproperlyConfigured if there is none, or if its library is missing."""
        base, _, suffix = name.partition("+")
        found = self._known.get(self._names.get(base, base))
        if found is None:
            known = ", ".join(sorted(self._known))
            hint = nearest(base, [*self._known, *self._names]) or "add it with register()"
            raise ImproperlyConfigured(f"no serializer {base!r} is registered (known: {known}): {hint}")
        if compression or suffix:
            found = compressed(found, self.compressions.get(compression or suffix), self._limit_bytes)
        found.check()
        return found

    def dumps(self, name: str, value: object) -> bytes:
        """`value` as bytes. Raises EncodeError, or ImproperlyConfigured if no serializer has that name."""
        return self.get(name).dumps(value)

    def loads(self, name: str, data: bytes | memoryview) -> Any:
        """The value in `data`. Raises DecodeError, or its subclass ContentDisallowed before anything is opened."""
        return (self._accepted.get(name) or self._open(name)).loads(data)  # `opener`, without its call: each get().

    def encode_call(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> bytes:
        """The arguments of a call as bytes. Raises as `dumps` does; the EncodeError names the argument."""
        return self.get(name).encode_call(args, kwargs)

    def decode_call(self, name: str, body: bytes | memoryview) -> tuple[list[Any], dict[str, Any]]:
        """The ``(args, kwargs)`` in `body`. Raises as `loads` does."""
        return self.opener(name).decode_call(body)

    def opener(self, name: str) -> Serializer:
        """The serializer to open a payload with. Raises ContentDisallowed, or DecodeError if none has that name."""
        return self._accepted.get(name) or self._open(name)

    def _open(self, name: str) -> Serializer:
        """For the names that are not those of a serializer alone."""
        base, is_compressed, suffix = name.partition("+")
        base = self._names.get(base, base)
        found = self._accepted.get(base) or self._refuse(base)
        if not is_compressed:
            return found
        compression = self.compressions.find(suffix)
        if compression is None:
            raise DecodeError(f"no compression {suffix!r} is registered here: add it with register() on every node")
        return compressed(found, compression, self._limit_bytes)

    def _refuse(self, name: str) -> NoReturn:
        if name in self.accept_content:
            raise DecodeError(f"no serializer {name!r} is registered here: add it with register() on every node")
        raise ContentDisallowed(name, self.accept_content)

    def _accept(self) -> None:
        accept_content = self.accept_content
        self._accepted = {name: each for name, each in self._known.items() if name in accept_content}

    def _limit_bytes(self) -> int:
        return self.max_body_bytes


def format_name(serializer: str, compression: str) -> str:
    """The name under which payloads of that serializer travel with that compression; empty: none."""
    return f"{serializer}+{compression}" if compression else serializer


def _built_in(json: JsonCodec) -> Iterator[Serializer]:
    yield Serializer(
        DEFAULT_SERIALIZER,
        msgpack_codec.dumps,
        msgpack_codec.loads,
        msgpack_codec.encode_call,
        msgpack_codec.decode_call,
    )
    yield serializer("json", json.dumps, json.loads)
    yield serializer("yaml", yaml_codec.dumps, yaml_codec.loads, yaml_codec.check)
    yield serializer("pickle", pickle_codec.dumps, cloudpickle_codec.loads)
    yield serializer("cloudpickle", cloudpickle_codec.dumps, cloudpickle_codec.loads)


def _of_text(encoder: Callable[[Any], Any], decoder: Callable[[Any], Any], encoding: str) -> tuple[Dumps, Loads]:
    def dumps(value: object) -> bytes:
        text = encoder(value)
        return text.encode(encoding) if isinstance(text, str) else bytes(text)

    return dumps, lambda data: decoder(str(data, encoding))
