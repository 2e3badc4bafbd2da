"""A serializer whose payloads are compressed where that makes them smaller.

The first byte of a payload says whether it is: 0, the rest is as the serializer has made it; 1, it is compressed. Small
payloads, and those that would not become smaller, are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable

from actorq.config import COMPRESS_BYTES
from actorq.errors import DecodeError, MessageTooLarge
from actorq.wire.payload.compression import Compression
from actorq.wire.payload.serializer import Serializer

AS_IT_IS, COMPRESSED = b"\0", b"\1"


def compressed(plain: Serializer, compression: Compression, limit_bytes: Callable[[], int]) -> Serializer:
    """`plain` with that compression, as ``json+gzip``. No payload has more than the limit before it is compressed.

    Raises what `plain` does, and MessageTooLarge (an EncodeError).
    """

    def smaller(data: bytes) -> bytes:
        if len(data) < COMPRESS_BYTES:
            return AS_IT_IS + data
        if len(data) > limit_bytes():  # Whoever opens it has this limit, too.
            raise MessageTooLarge("a payload, before it is compressed,", len(data), limit_bytes())
        small = compression.compress(data)
        return COMPRESSED + small if len(small) < len(data) else AS_IT_IS + data

    def larger(data: bytes | memoryview) -> bytes | memoryview:
        view = memoryview(data)
        if view[:1] == COMPRESSED:
            return compression.decompress(view[1:], limit_bytes())
        if view[:1] == AS_IT_IS:
            return view[1:]
        raise DecodeError(f"not a payload of {plain.name}+{compression.name}: it does not say whether it is compressed")

    def check() -> None:
        plain.check()
        compression.check()

    return Serializer(
        name=f"{plain.name}+{compression.name}",
        dumps=lambda value: smaller(plain.dumps(value)),
        loads=lambda data: plain.loads(larger(data)),
        encode_call=lambda args, kwargs: smaller(plain.encode_call(args, kwargs)),
        decode_call=lambda body: plain.decode_call(larger(body)),
        check=check,
    )
