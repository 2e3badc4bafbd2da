"""Compression of payloads, with an end to what one of them can become.

A compressed payload may stand for a thousand times its size, so each is opened with a limit, which holds while it is
opened: not more than that is ever made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from actorq.errors import DecodeError, EncodeError, ImproperlyConfigured, nearest
from actorq.wire.payload.extras import library
from actorq.wire.payload.refusal import error_text
from actorq.wire.payload.serializer import nothing_to_check

LZMA_PRESET = 2
"""Of 0 to 9. It takes 20 MB to compress, where the library's default takes 100 MB."""
LZMA_MEMORY_BYTES = 128 * 1024**2
ZSTD_WINDOW_LOG = 24
"""Memory that a payload may ask for before it is opened. No level up to 19 asks for more."""

Compress = Callable[[bytes], "bytes | bytearray | memoryview"]
Decompress = Callable[["bytes | memoryview", int], bytes]


class Decompressor(Protocol):
    """Opens one payload, as the classes of `bz2` and `lzma` do. What comes after its end it keeps as `unused_data`."""

    @property
    def eof(self) -> bool:
        """Whether the end of the payload was found."""

    def decompress(self, data: bytes | memoryview, max_length: int, /) -> bytes:
        """At most so many bytes of what `data` stands for, from the beginning."""


@dataclass(frozen=True, slots=True)
class Compression:
    """How payloads become smaller, under a name that travels with them.

    `compress` raises EncodeError and nothing else, `decompress` DecodeError: also for a payload that would become larger
    than the limit that it is given.
    """

    name: str
    compress: Callable[[bytes], bytes]
    decompress: Decompress
    check: Callable[[], object] = nothing_to_check
    """Raises ImproperlyConfigured if its library is not installed."""


def compression(
    name: str, compress: Compress, decompress: Decompress, check: Callable[[], object] = nothing_to_check
) -> Compression:
    """A Compression of two functions that may raise anything."""

    def smaller(data: bytes) -> bytes:
        try:
            return bytes(compress(data))
        except ImproperlyConfigured as error:
            raise EncodeError(str(error)) from error
        except Exception as error:
            raise EncodeError(f"cannot compress a payload with {name}: {error_text(error)}") from error

    def larger(data: bytes | memoryview, limit_bytes: int) -> bytes:
        try:
            found = decompress(data, limit_bytes)
        except ImproperlyConfigured as error:
            raise DecodeError(str(error)) from error
        except Exception as error:
            raise DecodeError(f"not a payload compressed with {name}: {error_text(error)}") from error
        if len(found) > limit_bytes:
            raise DecodeError(
                f"a payload compressed with {name} has more than {limit_bytes:,} bytes when it is opened, which is the "
                f"limit: pass a reference to the data, or raise max_body_bytes on every node"
            )
        return found

    return Compression(name, smaller, larger, check)


def by_stream(make: Callable[[], Decompressor]) -> Decompress:
    """Opens a payload with a new `Decompressor`, which is never asked for more than one byte above the limit."""

    def decompress(data: bytes | memoryview, limit_bytes: int) -> bytes:
        stream = make()
        found = stream.decompress(data, limit_bytes + 1)
        if len(found) <= limit_bytes:
            if not stream.eof:
                raise ValueError("it is not whole")
            if getattr(stream, "unused_data", b""):
                raise ValueError("something comes after its end")
        return found

    return decompress


def at_once(decoder: Callable[[Any], bytes]) -> Decompress:
    """Opens a payload with a function that knows no limit: what it returns is looked at only then."""
    return lambda data, _: bytes(decoder(bytes(data)))


class Compressions:
    """The compressions that an application knows, by name and alias."""

    def __init__(self) -> None:
        self._known: dict[str, Compression] = {}
        self._names: dict[str, str] = {}
        for each, aliases in _built_in():
            self.add(each, aliases)

    def register(
        self,
        encoder: Compress,
        decoder: Callable[..., Any],
        content_type: str,
        aliases: Iterable[str] = (),
    ) -> None:
        """Add a compression, or replace the one of that name, which is the first alias, or else the content type.

        `decoder` is a class like ``bz2.BZ2Decompressor``, whose ``decompress(data, max_length)`` makes no more than it is
        asked for; so payloads that would fill the memory are refused in time. Or it is a function of the bytes, as in
        kombu: nothing can stop that, and its result is refused afterwards. To be done in every program and on every
        node; who sends such payloads needs the right by-value, in a mesh with keys.
        """
        names = [*aliases, content_type]
        is_stream = isinstance(decoder, type) and hasattr(decoder, "decompress")
        decompress = by_stream(decoder) if is_stream else at_once(decoder)
        self.add(compression(names[0], encoder, decompress), names)

    def add(self, each: Compression, aliases: Iterable[str] = ()) -> None:
        """Add a compression, or replace the one of that name."""
        check_name(each.name)
        self._known[each.name] = each
        self._names.update(dict.fromkeys([each.name, *aliases], each.name))

    def get(self, name: str) -> Compression:
        """The compression of that name or alias. Raises ImproperlyConfigured if there is none, or not its library."""
        found = self.find(name)
        if found is None:
            known = ", ".join(sorted(self._known))
            hint = nearest(name, self._names) or "add it with register()"
            raise ImproperlyConfigured(f"no compression {name!r} is registered (known: {known}): {hint}")
        found.check()
        return found

    def find(self, name: str) -> Compression | None:
        """The compression of that name or alias, or None."""
        return self._known.get(self._names.get(name, ""))

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __contains__(self, name: object) -> bool:
        return name in self._names


def check_name(name: str) -> None:
    """Raises ImproperlyConfigured for a name that cannot travel: a serializer's and a compression's are joined by +."""
    if not name or "+" in name:
        raise ImproperlyConfigured(f"the name of a serializer or of a compression is not empty and has no +: {name!r}")


def _built_in() -> Iterator[tuple[Compression, tuple[str, ...]]]:
    """What everybody knows, each with its aliases. Their modules are imported when they are needed."""
    yield (
        compression("gzip", lambda data: _deflate(data, 31), by_stream(lambda: _inflate(31))),
        ("application/gzip", "application/x-gzip"),
    )
    yield (
        compression("zlib", lambda data: _deflate(data, 15), by_stream(lambda: _inflate(15))),
        ("deflate", "application/zlib"),
    )
    yield (
        compression("bzip2", _bzip2, by_stream(_unbzip2)),
        ("bz2", "bzip", "application/x-bz2"),
    )
    yield compression("lzma", _lzma, by_stream(_unlzma)), ("xz", "application/x-lzma", "application/x-xz")
    yield compression("zstd", _zstd, by_stream(_unzstd), _zstd_library), ("zstandard", "application/zstd")


def _deflate(data: bytes, wbits: int) -> bytes:
    import zlib

    stream = zlib.compressobj(wbits=wbits)
    return stream.compress(data) + stream.flush()


def _inflate(wbits: int) -> Decompressor:
    import zlib

    return zlib.decompressobj(wbits)


def _bzip2(data: bytes) -> bytes:
    import bz2

    return bz2.compress(data)


def _unbzip2() -> Decompressor:
    import bz2

    return bz2.BZ2Decompressor()


def _lzma(data: bytes) -> bytes:
    import lzma

    return lzma.compress(data, preset=LZMA_PRESET)


def _unlzma() -> Decompressor:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, LZMA_MEMORY_BYTES)


def _zstd(data: bytes) -> bytes:
    compressed: bytes = _zstd_library().compress(data)
    return compressed


def _unzstd() -> Decompressor:
    zstd = _zstd_library()
    options = {zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
    decompressor: Decompressor = zstd.ZstdDecompressor(options=options)
    return decompressor


def _zstd_library() -> Any:
    """That of the standard library, since Python 3.14, or its copy for older ones."""
    import sys

    return library("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd", "zstd")
