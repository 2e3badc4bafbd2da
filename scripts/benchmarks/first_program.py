"""The program that `first_result` times: a script with a task of its own, which starts a mesh to run it.

Prints the milliseconds from ``ActorQ(url="local://")`` to the first result, and those that `import actorq` took before.
"""

from __future__ import annotations

import time

_started_s = time.perf_counter()

from actorq import ActorQ  # noqa: E402 - the import is timed

_imported_s = time.perf_counter()

app = ActorQ(url="local://")


@app.task
def add(x: int, y: int) -> int:
    return x + y


if __name__ == "__main__":
    total = add.delay(1, 2).get(timeout=30)
    done_s = time.perf_counter()
    app.close()
    assert total == 3
    print(f"first result after {(done_s - _imported_s) * 1e3:.1f} ms, import {(_imported_s - _started_s) * 1e3:.1f} ms")
