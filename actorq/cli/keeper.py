"""The process that keeps an embedded mesh: ``python -m actorq.cli.keeper OPTIONS``, see `actorq.client.embedded`.

It is `actorq up` without a terminal: it ends with the program that has started it, and listens on a path of its own.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import tempfile
import threading
from typing import Any

from actorq import log
from actorq.cli.children import CoordinatorChild
from actorq.client.embedded import PARENT_FD, READY_FD, SURROUNDING_VARIABLE
from actorq.worker.options import WorkerOptions
from actorq.worker.supervisor import run_supervisor

LOGLEVEL = "WARNING"
LOOK_AGAIN_S = 1.0
LONGEST_DIRECTORY = 75
"""The path of a socket has 107 bytes at the most."""


def run(
    processes: int,
    concurrency: int,
    queues: list[str],
    result_expires: float,
    program: dict[str, Any],
    parent: int,
) -> int:
    """Run the mesh until the process `parent` ends, or SIGTERM. Returns an exit status."""
    log.configure(LOGLEVEL, "local")
    # Until the supervisor listens to it, so that nothing is left behind by a program that ends at once.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for fd in (READY_FD, PARENT_FD):
        os.set_inheritable(fd, False)
    short = "/tmp" if len(tempfile.gettempdir()) > LONGEST_DIRECTORY else None
    directory = tempfile.mkdtemp(prefix="actorq-", dir=short)  # For this user only.
    coordinator = CoordinatorChild(
        f"ipc://{directory}/coordinator", "coordinator@local", LOGLEVEL, result_expires_s=result_expires
    )
    os.environ[SURROUNDING_VARIABLE] = f"{os.getpid()} {coordinator.address}"
    try:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
        threading.Thread(target=_announce, args=(coordinator,), daemon=True).start()
        return run_supervisor(
            WorkerOptions(
                key="",
                addresses=(coordinator.address,),
                queues=tuple(queues),
                concurrency=concurrency,
                processes=processes,
                name="worker-%i@local",
                app=program["app"],
                include=tuple(program["include"]),
                program={"settings": program["settings"], "declares": program["declares"]},
                by_value=True,
                drain_s=0.0,
                loglevel=LOGLEVEL,
                banner=False,
            )
        )
    finally:
        coordinator.close()
        shutil.rmtree(directory, ignore_errors=True)


def _announce(coordinator: CoordinatorChild) -> None:
    """Tell the program where the coordinator listens. The workers start meanwhile."""
    if coordinator.wait_ready():
        _end()
    else:
        os.write(READY_FD, f"{coordinator.address}\n".encode())
    os.close(READY_FD)


def _end_with(parent: int) -> None:
    """End when the pipe from the program does, or it is no longer our parent (who was forked off may hold the pipe)."""
    while os.getppid() == parent and not select.select([PARENT_FD], [], [], LOOK_AGAIN_S)[0]:
        pass
    _end()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(run(**json.loads(sys.argv[1])))
