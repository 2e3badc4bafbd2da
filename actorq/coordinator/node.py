"""The coordinator's process: ``python -m actorq.coordinator.node --listen tcp://127.0.0.1:5570``.

Two actors: the link, which owns the sockets, and the coordinator. A failure of either ends the process; clients and
workers then bring what they hold to the next one.
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
from actorq.actors import ActorRef, ActorSystem, ChildSpec, MailboxSettings, Overflow
from actorq.actors.link import LinkActor
from actorq.config import DEFAULT_ADDRESS, CoordinatorSettings
from actorq.coordinator.core import Coordinator
from actorq.coordinator.shell import CoordinatorActor
from actorq.errors import ActorqError
from actorq.stores.memory import MemoryStore
from actorq.transport import Event, GreenWaiter, Link

EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: starting again would not help."""


def run(listen: str, name: str, ready_fd: int | None = None, parent_fd: int | None = None) -> None:
    """Run a coordinator until SIGTERM or SIGINT. Raises AddressInUse, BadAddress.

    ready_fd: where to write the bound address, and a newline, once it listens. parent_fd: a pipe whose end means that
    the parent has died, and this process is to end too.
    """
    inbox: list[ActorRef] = []

    def turn(events: list[Event]) -> None:
        if events and inbox:
            inbox[0].tell(events)

    link = Link(GreenWaiter(), turn)
    address = link.listen(listen)
    core = Coordinator(name, ids.random_id(), CoordinatorSettings(), time.monotonic(), time.time())
    with ActorSystem("coordinator", intensity=0) as system:
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, system.root.stop)
        if parent_fd is not None:
            gevent.spawn(_stop_with_parent, parent_fd, system)
        # The link never waits for the coordinator: its events are bounded by what the sockets deliver in a round.
        mailbox = MailboxSettings(limit=1_000_000, overflow=Overflow.REFUSE)
        inbox.append(
            system.start(ChildSpec(lambda: CoordinatorActor(core, link, MemoryStore()), "core", mailbox=mailbox))
        )
        system.start(ChildSpec(lambda: LinkActor(link), "link"))
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
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--parent-fd", type=int)
    options = parser.parse_args(arguments)
    log.configure(options.loglevel, options.name)
    try:
        run(options.listen, options.name, options.ready_fd, options.parent_fd)
    except ActorqError as error:
        sys.stderr.write(f"actorq: {error}\n")
        return EXIT_CONFIGURATION
    return 0


if __name__ == "__main__":
    sys.exit(main())
