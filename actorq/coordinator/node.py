"""The coordinator's process: ``python -m actorq.coordinator.node --listen tcp://127.0.0.1:5570``.

One actor: the coordinator, which owns the link. When it fails the process ends; clients and workers then bring what they
hold to the next one.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence

import gevent

from actorq import ids, log, native
from actorq.actors import ActorSystem, ChildSpec
from actorq.config import DEFAULT_ADDRESS, CoordinatorSettings
from actorq.coordinator.core import Coordinator
from actorq.coordinator.shell import CoordinatorActor
from actorq.errors import ImproperlyConfigured, OperationalError
from actorq.keys import KeyRing
from actorq.policies.addresses import check_listening
from actorq.stores.memory import MemoryStore

EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: starting again would not help."""


def run(
    listen: str,
    name: str,
    ready_fd: int | None = None,
    parent_fd: int | None = None,
    key: str = "",
    insecure: bool = False,
) -> None:
    """Run a coordinator until SIGTERM or SIGINT. Raises AddressInUse, ImproperlyConfigured.

    ready_fd: where to write the bound address, and a newline, once it listens. parent_fd: a pipe whose end means that
    the parent has died, and this process is to end too. key: path of the cluster's key file; without one it listens on
    loopback only, unless it is to be insecure.
    """
    check_listening(listen, bool(key), insecure)
    ring = KeyRing(key) if key else None
    native.use_all_descriptors()
    core = Coordinator(name, ids.random_id(), CoordinatorSettings(), time.monotonic(), time.time())
    coordinator = CoordinatorActor(core, MemoryStore(), ring)
    address = coordinator.listen(listen)
    with ActorSystem("coordinator", intensity=0) as system:
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, system.root.stop)
        if parent_fd is not None:
            gevent.spawn(_stop_with_parent, parent_fd, system)
        system.start(ChildSpec(lambda: coordinator, "coordinator"))
        _announce(ready_fd, address)
        _tune_memory()
        system.join()


def _announce(ready_fd: int | None, address: str) -> None:
    if ready_fd is None:
        sys.stdout.write(f"coordinator listens on {address}\n")
        sys.stdout.flush()
    else:
        os.write(ready_fd, f"{address}\n".encode())
        os.close(ready_fd)


def _stop_with_parent(parent_fd: int, system: ActorSystem) -> None:
    gevent.os.tp_read(parent_fd, 1)
    system.root.stop()


def _tune_memory() -> None:
    """What is there at the start stays; what comes later are flat records that reference counting frees."""
    native.keep_freed_memory()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="actorq.coordinator.node", description=__doc__)
    parser.add_argument("--listen", default=DEFAULT_ADDRESS)
    parser.add_argument("--name", default=f"coordinator@{socket.gethostname()}")
    parser.add_argument("--loglevel", default="WARNING")
    parser.add_argument("--key", default="")
    parser.add_argument("--insecure", action="store_true")
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--parent-fd", type=int)
    options = parser.parse_args(arguments)
    log.configure(options.loglevel, options.name)
    try:
        run(options.listen, options.name, options.ready_fd, options.parent_fd, options.key, options.insecure)
    except (ImproperlyConfigured, OperationalError) as error:
        sys.stderr.write(f"actorq: {error}\n")
        return EXIT_CONFIGURATION
    return 0


if __name__ == "__main__":
    sys.exit(main())
