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
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import gevent

from actorq import ids, log, native
from actorq.actors import ActorSystem, ChildSpec
from actorq.config import DEFAULT_ADDRESS, CoordinatorSettings
from actorq.coordinator.core import Coordinator
from actorq.coordinator.shell import CoordinatorActor
from actorq.errors import ImproperlyConfigured, OperationalError, StoreFailed
from actorq.policies.addresses import check_connecting, check_listening
from actorq.stores.api import Bounds, Store
from actorq.transport.addresses import check_to_dial
from actorq.transport.routes import address_for_others

if TYPE_CHECKING:
    from actorq.keys import KeyRing

EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: starting again would not help."""
PROGRESS_S = 1.0
"""Between two lines about a replay."""


def run(
    listen: str,
    name: str,
    ready_fd: int | None = None,
    parent_fd: int | None = None,
    data: str | None = None,
    transient: Iterable[str] = (),
    joins: Sequence[str] = (),
    advertise: str = "",
    key: str = "",
    insecure: bool = False,
    result_expires_s: float = CoordinatorSettings().outcome_age_s,
) -> None:
    """Run a coordinator until SIGTERM or SIGINT.

    joins: addresses of other coordinators of the mesh; one is enough. advertise: the address that others are told, by
    default the one that it listens at, or, if these are all interfaces, the one on the way to those that it joins.
    ready_fd: where to write the bound address, and a newline, once it listens. parent_fd: a pipe whose end means that
    the parent has died, and this process is to end too. data: the directory of its journal; without, all is in memory
    only. transient: queues whose calls are not journaled. key: path of the cluster's key file; without one it listens
    on loopback only, and joins nobody elsewhere, unless it is to be insecure. result_expires_s: how long outcomes are
    kept for those who ask for them.

    Raises ImproperlyConfigured, AddressInUse, OperationalError; StoreInUse, StoreTooNew, StoreFailed.
    """
    check_listening(listen, bool(key), insecure)
    check_connecting(joins, bool(key), insecure)
    for other in joins:
        check_to_dial(other)
    ring = _ring_of(key) if key else None
    native.use_all_descriptors()
    settings = CoordinatorSettings(
        durable=data is not None,
        data_dir=os.path.abspath(data) if data else "",
        transient_queues=frozenset(transient),
        loopback_only=not (key or insecure),
        outcome_age_s=result_expires_s,
    )
    core = Coordinator(name, ids.random_id(), settings, time.monotonic(), time.time(), joins)
    store = None if data is None else _restore(core, data)
    with ActorSystem("coordinator", intensity=0) as system:
        coordinator = CoordinatorActor(core, store, ring, system.root.stop)
        address = coordinator.listen(listen)
        coordinator.announce(advertise or address_for_others(address, joins))
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, system.root.stop)
        if parent_fd is not None:
            gevent.spawn(_stop_with_parent, parent_fd, system)
        system.start(ChildSpec(lambda: coordinator, "coordinator"))
        _announce(ready_fd, address)
        _tune_memory()
        system.join()


def name_of(pattern: str, listen: str) -> str:
    """The name of a coordinator that listens there: ``%h`` is the host's name, ``%p`` the port, or ``local``."""
    port = listen.rpartition(":")[2]
    return pattern.replace("%h", socket.gethostname()).replace("%p", port if port.isdigit() else "local")


def _ring_of(path: str) -> KeyRing:
    from actorq.keys import KeyRing  # A coordinator without a key does without what it loads for cryptography.

    return KeyRing(path)


def _restore(core: Coordinator, data: str) -> Store:
    """The store in a directory, and what it holds in the core."""
    from actorq.stores.sqlite import SqliteStore  # A coordinator in memory does without.

    settings = core.state.settings
    store = SqliteStore(
        data,
        Bounds(
            settings.outcome_count,
            settings.outcome_bytes,
            settings.outcome_age_s,
            settings.revocation_count,
            settings.dead_letter_count,
        ),
    )
    progress = ReplayProgress(store.call_count())
    core.restore(store.load(progress))
    progress.end()
    return store


class ReplayProgress:
    """Says once a second how far the replay is, if it takes that long."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._began_s = self._said_s = time.monotonic()

    def __call__(self, count: int) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s >= PROGRESS_S:
            self._said_s = now_s
            _say(f"replayed {count:,} of {self._total:,} calls")

    def end(self) -> None:
        if self._total:
            _say(f"replayed all of {self._total:,} calls in {time.monotonic() - self._began_s:.1f} s")


def _say(text: str) -> None:
    sys.stderr.write(f"coordinator: {text}\n")
    sys.stderr.flush()


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
    parser.add_argument("--name", default="coordinator-%p@%h")
    parser.add_argument("--join", action="append", default=[])
    parser.add_argument("--advertise", default="")
    parser.add_argument("--loglevel", default="WARNING")
    parser.add_argument("--key", default="")
    parser.add_argument("--insecure", action="store_true")
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--parent-fd", type=int)
    parser.add_argument("--data", help="directory of the journal; without, everything is in memory only")
    parser.add_argument("--transient", action="append", default=[], help="a queue whose calls are not journaled")
    parser.add_argument("--result-expires", type=float, default=CoordinatorSettings().outcome_age_s)
    options = parser.parse_args(arguments)
    options.name = name_of(options.name, options.listen)
    log.configure(options.loglevel, options.name)
    try:
        run(
            options.listen, options.name, options.ready_fd, options.parent_fd, options.data, options.transient,
            options.join, options.advertise, options.key, options.insecure, options.result_expires,
        )  # fmt: skip
    except (ImproperlyConfigured, OperationalError) as error:
        sys.stderr.write(f"actorq: {error}\n")
        return EXIT_CONFIGURATION
    except StoreFailed as error:
        sys.stderr.write(f"actorq: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
