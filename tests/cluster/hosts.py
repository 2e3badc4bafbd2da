"""Hosts as network namespaces: each has one network card, and all are connected by a bridge in a namespace of its own.

Nothing of it is in the network of the machine: no address, no route and no interface. It needs root, `ip` and `tc`.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.filters import program

CARD = "eth0"
CLONE_NEWNET = 0x40000000
COMMAND_S = 20.0


class HostsError(Exception):
    """The kernel, or a tool, does not do what hosts need. The text says which."""


class Host:
    """One namespace. `name` is that of the namespace, `address` its IPv4 address."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address

    def __repr__(self) -> str:
        return f"{self.name} ({self.address})"

    def command(self, *command: str) -> list[str]:
        """The command that runs `command` here. It becomes that command, and keeps its process id."""
        return ["ip", "netns", "exec", self.name, *command]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Sockets that this thread makes meanwhile belong to this host, and stay there."""
        with open("/proc/thread-self/ns/net") as back, (Path("/run/netns") / self.name).open() as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(back.fileno())


class Hosts:
    """Makes `count` hosts that reach each other; at the end, removes what it has made, and nothing else.

    Use it as a context manager. Processes on the hosts have to be ended before it is.
    """

    def __init__(self, count: int) -> None:
        self.prefix = f"aq-{os.urandom(3).hex()}"
        self._hosts = [Host(f"{self.prefix}-{number}", f"10.77.0.{number}") for number in range(1, count + 1)]
        self._bridge = f"{self.prefix}-net"
        self._made: list[str] = []
        self._cuts: set[tuple[str, str]] = set()
        self._loss = 0.0

    def __len__(self) -> int:
        return len(self._hosts)

    def __getitem__(self, index: int) -> Host:
        return self._hosts[index]

    def __iter__(self) -> Iterator[Host]:
        return iter(self._hosts)

    def __enter__(self) -> Hosts:
        try:
            self._make()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the namespaces, and with them all that is in them."""
        while self._made:
            _run(["ip", "netns", "del", self._made.pop()])

    def _make(self) -> None:
        self._make_namespace(self._bridge)
        _batch(self._bridge, ["link add br0 type bridge", "link set br0 up"])
        for number, host in enumerate(self._hosts, start=1):
            self._make_namespace(host.name)
            _batch(
                self._bridge,
                [
                    f"link add port{number} type veth peer name {CARD} netns {host.name}",
                    f"link set port{number} master br0 up",
                ],
            )
            _batch(host.name, [f"addr add {host.address}/24 dev {CARD}", f"link set {CARD} up", "link set lo up"])
            _run(["tc", "-n", host.name, "qdisc", "add", "dev", CARD, "clsact"])
        self._apply(self._hosts)

    def _make_namespace(self, name: str) -> None:
        _run(["ip", "netns", "add", name])
        self._made.append(name)

    # -- faults --------------------------------------------------------------------------------------------------

    def cut(self, source: Host, target: Host) -> None:
        """Nothing more comes from `source` to `target`. The other direction is not changed."""
        self.cut_all([(source, target)])

    def cut_all(self, pairs: Iterable[tuple[Host, Host]]) -> None:
        """The same for many pairs."""
        pairs = [pair for pair in pairs if pair[0] is not pair[1]]
        self._cuts.update((source.address, target.name) for source, target in pairs)
        self._apply({target.name: target for _, target in pairs}.values())

    def heal(self) -> None:
        """All reach all again. Loss stays."""
        self._cuts.clear()
        self._apply(self._hosts)

    def lose(self, share: float) -> None:
        """Drop this share of the packets that arrive at each host, at random."""
        self._loss = share
        self._apply(self._hosts)

    def shape(self, delay_ms: float = 0.0, rate_mbit: float = 0.0) -> None:
        """What each host sends takes so long, and is not faster than this; 0: no such limit.

        Raises HostsError where the kernel has no netem, which delays need.
        """
        for host in self._hosts:
            subprocess.run(["tc", "-n", host.name, "qdisc", "del", "dev", CARD, "root"], stderr=subprocess.DEVNULL)
            discipline = _discipline(delay_ms, rate_mbit)
            try:
                if discipline:
                    _run(["tc", "-n", host.name, "qdisc", "add", "dev", CARD, "root", *discipline])
            except HostsError as error:
                raise HostsError(f"this kernel has no {discipline[0]}: {error}") from None

    def _apply(self, targets: Iterable[Host]) -> None:
        for host in targets:
            senders = [source for source, target in self._cuts if target == host.name]
            bytecode = program(senders, self._loss)
            where = ["dev", CARD, "ingress", "prio", "1", "handle", "1"]
            _run(["tc", "-n", host.name, "filter", "replace", *where, "bpf", "da", "bytecode", bytecode])


@functools.cache
def reason_not_here() -> str:
    """Why there can be no hosts here; an empty string if there can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in ("ip", "tc") if shutil.which(tool) is None]
    if missing:
        return f"{' and '.join(missing)} not found: install iproute2"
    try:
        with Hosts(1):
            return ""
    except HostsError as error:
        return str(error)


def _discipline(delay_ms: float, rate_mbit: float) -> list[str]:
    if delay_ms:
        rate = ["rate", f"{rate_mbit}mbit"] if rate_mbit else []
        return ["netem", "delay", f"{delay_ms}ms", "limit", "100000", *rate]
    if rate_mbit:
        return ["tbf", "rate", f"{rate_mbit}mbit", "burst", "128k", "latency", "50ms"]
    return []


def _batch(namespace: str, lines: Sequence[str]) -> None:
    _run(["ip", "-n", namespace, "-batch", "-"], "\n".join(lines) + "\n")


def _run(command: Sequence[str], text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=COMMAND_S)
    if done.returncode != 0:
        raise HostsError(f"{' '.join(command)} {text.strip()}: {(done.stderr or done.stdout).strip()}")


def _enter(descriptor: int) -> None:
    """setns(2); Python has it since 3.12 only."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns has failed")
