"""An image rendered in tiles by the mesh, and written as PNG.

    python examples/mandelbrot.py
    python examples/mandelbrot.py --width 240 --height 160 small.png

Each tile is a call, and its result some kilobytes of pixels. Tiles are placed as they come: the slow ones, inside the
set, hold up nobody. The mesh is an embedded one, or the one that ACTORQ_URL names.
"""

from __future__ import annotations

import argparse
import os
import struct
import time
import zlib
from pathlib import Path

from actorq import ActorQ

app = ActorQ("mandelbrot", url=os.environ.get("ACTORQ_URL", "local://"))

TILE = 64
ITERATIONS = 200
LEFT, BOTTOM, RIGHT, TOP = -2.2, -1.2, 1.0, 1.2

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""


def escape_time(c: complex) -> int:
    """Steps until the orbit of `c` leaves the circle of radius 2; ITERATIONS if it does not by then."""
    z = 0j
    for step in range(ITERATIONS):
        z = z * z + c
        if z.real * z.real + z.imag * z.imag > 4:
            return step
    return ITERATIONS


def color(steps: int) -> tuple[int, int, int]:
    """Black inside the set; outside brighter, from blue to white, the longer the orbit stayed."""
    if steps == ITERATIONS:
        return 0, 0, 0
    share = (steps / ITERATIONS) ** 0.4
    return int(255 * share**2), int(255 * share**1.3), int(55 + 200 * share)


@app.task
def render(box: Box, width: int, height: int) -> bytes:
    """The pixels of one tile of an image of that size: RGB, row by row from the top."""
    left, top, columns, rows = box
    pixels = bytearray()
    for y in range(top, top + rows):
        for x in range(left, left + columns):
            c = complex(LEFT + (RIGHT - LEFT) * x / width, TOP - (TOP - BOTTOM) * y / height)
            pixels += bytes(color(escape_time(c)))
    return bytes(pixels)


def tiles(width: int, height: int) -> list[Box]:
    return [
        (left, top, min(TILE, width - left), min(TILE, height - top))
        for top in range(0, height, TILE)
        for left in range(0, width, TILE)
    ]


def place(image: bytearray, width: int, box: Box, pixels: bytes) -> None:
    """Copy a tile into the image, row by row."""
    left, top, columns, rows = box
    for row in range(rows):
        start = 3 * ((top + row) * width + left)
        image[start : start + 3 * columns] = pixels[3 * columns * row : 3 * columns * (row + 1)]


def png(image: bytes, width: int, height: int) -> bytes:
    """An RGB image as a PNG file (RFC 2083)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits per channel, RGB.
    rows = b"".join(b"\0" + image[start : start + 3 * width] for start in range(0, len(image), 3 * width))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", nargs="?", type=Path, default=Path("mandelbrot.png"), help="default: %(default)s")
    parser.add_argument("--width", type=int, default=720, help="pixels; default: %(default)s")
    parser.add_argument("--height", type=int, default=540, help="pixels; default: %(default)s")
    options = parser.parse_args()
    width, height = options.width, options.height

    started_s = time.monotonic()
    image = bytearray(3 * width * height)
    boxes = {render.delay(box, width, height): box for box in tiles(width, height)}
    for result in app.as_completed(boxes):
        place(image, width, boxes[result], result.get())
    options.output.write_bytes(png(bytes(image), width, height))
    print(f"{options.output}: {width} x {height}, {len(boxes)} tiles in {time.monotonic() - started_s:.1f} s")


if __name__ == "__main__":
    main()
