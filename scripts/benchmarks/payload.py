"""How many megabytes per second: arguments of 1 MB that come back as results of 1 MB, eight calls in flight."""

from __future__ import annotations

import os
import time
from collections import deque

from scripts.benchmarks.alternation import alternate, medians
from scripts.benchmarks.ceiling.mesh import bare_mesh
from scripts.benchmarks.figure import BenchmarkError, Figure, Rule
from scripts.benchmarks.mesh import RESULT_S, actorq_mesh
from scripts.benchmarks.tasks import echo

BODY_BYTES = 1_000_000
IN_FLIGHT = 8
ROUNDS = 7


def measure(quick: bool) -> Figure:
    """MB/s in both directions together, beside those of bare ZeroMQ on the same path."""
    count = 100 if quick else 300
    megabytes = 2 * count * BODY_BYTES / 1e6
    body = os.urandom(BODY_BYTES)
    with bare_mesh() as bare, actorq_mesh(workers=1):
        if echo.delay(body).get(timeout=RESULT_S) != body:
            raise BenchmarkError("a body came back changed")
        contenders = {
            "bare": lambda: megabytes / bare.stream(body, count, IN_FLIGHT),
            "actorq": lambda: megabytes / _stream(body, count),
        }
        alternate(1, contenders)
        rates = medians(alternate(3 if quick else ROUNDS, contenders))
    return Figure(
        "payload",
        rates["actorq"],
        "MB/s",
        rates["bare"],
        0.5,
        Rule.RATIO_AT_LEAST,
        ("reference: bare ZeroMQ over the same three hops, which never looks into a frame; one worker",),
    )


def _stream(body: bytes, count: int) -> float:
    started_s = time.perf_counter()
    waiting = deque(echo.delay(body) for _ in range(min(IN_FLIGHT, count)))
    for number in range(count):
        if len(waiting.popleft().get(timeout=RESULT_S)) != len(body):
            raise BenchmarkError("a body came back with another size")
        if number + IN_FLIGHT < count:
            waiting.append(echo.delay(body))
    return time.perf_counter() - started_s
