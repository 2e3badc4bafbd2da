"""An asyncio program that awaits calls, and tasks that are coroutines.

    python examples/asyncio_program.py
    python examples/asyncio_program.py --pages 50

The program serves pages on loopback, each after a delay; the tasks fetch them. One worker process has hundreds of
them wait at the same time, so all the pages take little longer than one. The mesh is an embedded one, or the one that
ACTORQ_URL names, if its workers run on this host.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time

from actorq import ActorQ

app = ActorQ("asyncio_program", url=os.environ.get("ACTORQ_URL", "local://"))

DELAY_S = 0.2


@app.task
async def fetch(port: int, page: int) -> str:
    """Ask the server for one page."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{page}\n".encode())
    text = (await reader.readline()).decode().strip()
    writer.close()
    return text


@app.task
async def count_letters(text: str) -> int:
    return sum(letter.isalpha() for letter in text)


async def serve_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that takes its time."""
    page = int(await reader.readline())
    await asyncio.sleep(DELAY_S)
    writer.write(f"page {page} of the book\n".encode())
    await writer.drain()
    writer.close()


async def count_page(port: int, page: int) -> int:
    """Two calls, one after the other: a result is an awaitable."""
    text = await fetch.delay(port, page)
    return await count_letters.delay(text)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=200, help="default: %(default)s")
    pages: int = parser.parse_args().pages

    server = await asyncio.start_server(serve_page, "127.0.0.1", 0, backlog=pages)
    port = server.sockets[0].getsockname()[1]

    print(await asyncio.wait_for(fetch.delay(port, 1), timeout=30))

    started_s = time.monotonic()
    counts = await asyncio.gather(*[count_page(port, page) for page in range(pages)])
    elapsed_s = time.monotonic() - started_s
    print(f"{pages} pages, {sum(counts):,} letters, in {elapsed_s:.2f} s; one after the other: {pages * DELAY_S:.0f} s")

    server.close()


if __name__ == "__main__":
    asyncio.run(main())
