"""What a host's network card lets in, as a program of the kernel's packet filter for `tc` (classic BPF, bpf(4)).

One program does all of it: packets of some senders are dropped always, and of the others some at random. It runs where
packets arrive, so a sender notices nothing, as with a real network that fails. Unlike netem, whose loss it takes the
place of, the packet filter is part of nearly every kernel.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

LOAD_HALF, LOAD_WORD, JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, RETURN = 0x28, 0x20, 0x15, 0x35, 0x06
ETHERTYPE_AT, IP_SOURCE_AT = 12, 26
"""Where they stand in a packet, in bytes."""
RANDOM_AT = 0xFFFFF000 + 56
"""Whoever loads from here gets 32 random bits (SKF_AD_RANDOM)."""
IPV4 = 0x0800
PASS, DROP = 0xFFFFFFFF, 2
"""TC_ACT_UNSPEC and TC_ACT_SHOT."""


def program(senders: Collection[str], loss: float) -> str:
    """The program as `tc … bpf da bytecode` takes it. IPv4 only: all else passes, and with it ARP.

    senders: addresses of which nothing comes through. loss: share of the other packets that is dropped.
    """
    steps: list[tuple[int, str, str, int]] = [
        (LOAD_HALF, "", "", ETHERTYPE_AT),
        (JUMP_IF_EQUAL, "", "pass", IPV4),
        (LOAD_WORD, "", "", IP_SOURCE_AT),
    ]
    steps += [(JUMP_IF_EQUAL, "drop", "", int(ipaddress.IPv4Address(each))) for each in sorted(senders)]
    if loss > 0:
        steps.append((LOAD_WORD, "", "", RANDOM_AT))
        steps.append((JUMP_IF_AT_LEAST, "", "drop", min(int(loss * 2**32), 2**32 - 1)))
    steps += [(RETURN, "", "", PASS), (RETURN, "", "", DROP)]
    ends = {"pass": len(steps) - 2, "drop": len(steps) - 1}

    def offset(label: str, position: int) -> int:
        return ends[label] - position - 1 if label else 0

    lines = [
        f"{code} {offset(true, position)} {offset(false, position)} {value}"
        for position, (code, true, false, value) in enumerate(steps)
    ]
    return ",".join([str(len(lines)), *lines])
