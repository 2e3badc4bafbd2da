"""Compressed payloads come back as they were, and none becomes more than its limit, however small it is."""

from __future__ import annotations

import bz2
import os
import sys
import tracemalloc
import zlib
from typing import Any

import pytest

from actorq.config import COMPRESS_BYTES
from actorq.errors import DecodeError, EncodeError, ImproperlyConfigured, MessageTooLarge
from actorq.keys.rights import PLAIN_COMPRESSIONS
from actorq.wire.payload import Serializers, msgpack_codec
from actorq.wire.payload.compressed import AS_IT_IS, COMPRESSED
from actorq.wire.payload.compression import Compressions

BUILT_IN = ["gzip", "zlib", "bzip2", "lzma", "zstd"]
LIMIT_BYTES = 1024**2
LONG = "a text that says the same again and again, " * 1000


def a_registry(limit_bytes: int = LIMIT_BYTES, accept: tuple[str, ...] = ("msgpack", "json")) -> Serializers:
    serializers = Serializers(accept)
    serializers.max_body_bytes = limit_bytes
    serializers.compressions.register(
        lambda data: bz2.compress(data), bz2.BZ2Decompressor, "application/x-own", ["own"]
    )
    serializers.compressions.register(zlib.compress, zlib.decompress, "application/x-kombu", ["kombu"])
    return serializers


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
@pytest.mark.parametrize("compression", [*BUILT_IN, "own", "kombu"])
def test_values_and_calls_come_back(compression: str, serializer: str) -> None:
    serializers = a_registry()
    form = serializers.get(serializer, compression)
    assert form.name == f"{serializer}+{compression}"
    body = form.encode_call((LONG,), {"k": [1]})
    assert len(body) < len(LONG) / 10
    assert serializers.decode_call(form.name, memoryview(body)) == ([LONG], {"k": [1]})
    assert serializers.loads(form.name, form.dumps([LONG])) == [LONG]


def test_a_small_payload_is_left_as_it_is_and_says_so() -> None:
    form = a_registry().get("msgpack", "gzip")
    assert form.dumps(1) == AS_IT_IS + msgpack_codec.dumps(1)
    assert form.dumps("x" * COMPRESS_BYTES)[:1] == COMPRESSED
    assert form.loads(form.dumps(1)) == 1


def test_a_payload_that_would_not_become_smaller_is_left_as_it_is() -> None:
    form, noise = a_registry().get("msgpack", "gzip"), os.urandom(2 * COMPRESS_BYTES)
    assert form.dumps(noise) == AS_IT_IS + msgpack_codec.dumps(noise)


@pytest.mark.parametrize("compression", [*BUILT_IN, "own"])
def test_a_bomb_is_refused_before_it_takes_memory(compression: str) -> None:
    size_bytes = 64 * LIMIT_BYTES
    bomb = COMPRESSED + a_registry().compressions.get(compression).compress(bytes(size_bytes))
    serializers = a_registry()
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="more than 1,048,576 bytes when it is opened"):
            serializers.loads(f"msgpack+{compression}", bomb)
        assert tracemalloc.get_traced_memory()[1] < size_bytes / 8
    finally:
        tracemalloc.stop()


def test_what_a_plain_function_makes_beyond_the_limit_is_not_opened() -> None:
    opened: list[object] = []
    serializers = a_registry(1000, accept=("spy",))
    serializers.register("spy", lambda _: b"", opened.append)
    with pytest.raises(DecodeError, match="more than 1,000 bytes"):
        serializers.loads("spy+kombu", COMPRESSED + zlib.compress(bytes(1001)))
    assert not opened
    serializers.loads("spy+kombu", COMPRESSED + zlib.compress(bytes(1000)))
    assert opened == [bytes(1000)]


@pytest.mark.parametrize("compression", [*BUILT_IN, "own", "kombu"])
def test_a_payload_at_the_limit_is_opened_and_one_above_it_is_not(compression: str) -> None:
    compressions = a_registry().compressions.get(compression)
    small = compressions.compress(b"x" * 5000)
    assert compressions.decompress(small, 5000) == b"x" * 5000
    with pytest.raises(DecodeError, match="4,999"):
        compressions.decompress(small, 4999)


@pytest.mark.parametrize("compression", BUILT_IN)
@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data + b"x", lambda _: b"", lambda _: b"no"])
def test_what_is_not_one_whole_stream_is_a_decode_error(compression: str, spoil: Any) -> None:
    each = Compressions().get(compression)
    with pytest.raises(DecodeError, match=f"not a payload compressed with {compression}"):
        each.decompress(spoil(each.compress(b"x" * 5000)), LIMIT_BYTES)


@pytest.mark.parametrize("data", [b"", b"\2abc", b"\x1f\x8b\x08"])
def test_a_payload_that_does_not_say_whether_it_is_compressed_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError, match="does not say"):
        a_registry().loads("msgpack+gzip", data)


def test_what_is_above_the_limit_before_it_is_compressed_is_not_sent() -> None:
    form = a_registry(5000).get("json", "gzip")
    with pytest.raises(MessageTooLarge, match="before it is compressed"):
        form.encode_call(("x" * 5000,), {})


def test_content_that_is_not_accepted_is_not_even_decompressed() -> None:
    serializers = a_registry(accept=("json",))

    def fail(_: bytes) -> bytes:
        raise AssertionError("it was decompressed")

    serializers.compressions.register(bytes, fail, "fail")
    with pytest.raises(DecodeError, match="'msgpack' is not accepted"):
        serializers.loads("msgpack+fail", COMPRESSED)


def test_memory_that_a_payload_asks_for_before_it_is_opened_is_limited() -> None:
    import lzma

    hungry = lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 * 1024**2}])
    with pytest.raises(DecodeError, match="not a payload compressed with lzma"):
        Compressions().get("lzma").decompress(hungry, LIMIT_BYTES)


def test_aliases_are_names_too() -> None:
    compressions = Compressions()
    assert compressions.get("application/x-bz2").name == compressions.get("bz2").name == "bzip2"
    assert a_registry().get("application/json", "xz").name == "json+lzma"


def test_an_unknown_name_is_answered_with_the_nearest_known_one() -> None:
    with pytest.raises(ImproperlyConfigured, match="did you mean 'gzip'"):
        Compressions().get("gzipp")
    with pytest.raises(DecodeError, match="no compression 'other' is registered here"):
        Serializers().loads("json+other", b"")


def test_a_name_with_a_plus_is_refused_because_it_joins_names() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"has no \+"):
        Compressions().register(bytes, bytes, "a+b")


def test_what_a_compression_of_ones_own_raises_becomes_an_error_that_callers_know() -> None:
    def fail(_: object) -> Any:
        raise KeyError("broken")

    compressions = Compressions()
    compressions.register(fail, fail, "broken")
    with pytest.raises(EncodeError, match="cannot compress a payload with broken: KeyError: 'broken'"):
        compressions.get("broken").compress(b"")
    with pytest.raises(DecodeError, match="not a payload compressed with broken: KeyError: 'broken'"):
        compressions.get("broken").decompress(b"", 1)


def test_without_its_library_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'actorq\[zstd\]'"):
        Serializers().get("msgpack", "zstd")
    with pytest.raises(DecodeError, match=r"pip install 'actorq\[zstd\]'"):
        Serializers().loads("msgpack+zstd", COMPRESSED)


def test_two_applications_do_not_share_what_they_register() -> None:
    assert "own" in a_registry().compressions and "own" not in Serializers().compressions


def test_a_client_may_send_without_more_rights_exactly_what_stops_at_its_limit() -> None:
    assert {"", *Compressions()} == PLAIN_COMPRESSIONS
