"""Makes tapes, plays them, keeps those that lead somewhere new, and cuts down those that break a promise."""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.fuzzing.coverage import ROOT, Coverage
from tests.fuzzing.tape import Tape

FIRST_TAPES = 20
TRIES_TO_SHRINK = 400


@dataclass(frozen=True)
class Target:
    """What tapes are played against. `play` raises, whatever it is, if a promise is broken."""

    name: str
    play: Callable[[Tape], None]
    modules: Sequence[str]
    """Modules and packages of actorq, as paths, whose lines count as reached."""
    longest: int
    """Bytes of a tape."""


@dataclass(frozen=True)
class Finding:
    """A tape that breaks a promise."""

    target: str
    tape: bytes
    """Empty where what happens does not depend on it alone."""
    story: str
    """The traceback."""

    def __str__(self) -> str:
        if not self.tape:
            return self.story
        return f"{self.story}replay it with: scripts/fuzz --target {self.target} --tape {self.tape.hex()}"


@dataclass
class Report:
    """What a run of the engine has done."""

    executions: int = 0
    took_s: float = 0.0
    lines: int = 0
    kept: int = 0
    """Tapes that reached something new."""
    findings: list[Finding] = field(default_factory=list)
    slowest_s: float = 0.0
    """Of processor time, for one tape."""
    slowest: bytes = b""


def play(target: Target, tape: bytes) -> Finding | None:
    """Play one tape."""
    return _failure(target, tape)[1]


def fuzz(target: Target, seed: int, *, seconds: float = 0.0, executions: int = 0, most_findings: int = 10) -> Report:
    """Play tapes for so long, or so many. What is found is the same for the same seed and number."""
    rng = random.Random(f"{target.name} {seed}")
    coverage, report = Coverage(target.modules), Report()
    started_s = time.monotonic()
    kept: list[bytes] = []
    places: set[str] = set()

    def is_over() -> bool:
        if executions:
            return report.executions >= executions
        return time.monotonic() - started_s >= seconds

    for tape in _tapes(target, kept, rng):
        if is_over() or len(report.findings) >= most_findings:
            break
        report.executions += 1
        reached = len(coverage.lines)
        before_s = time.process_time()
        with coverage.watching():
            place, finding = _failure(target, tape)
        took_s = time.process_time() - before_s
        if took_s > report.slowest_s:
            report.slowest_s, report.slowest = took_s, tape
        if len(coverage.lines) > reached:
            kept.append(tape)
        if finding is not None and place not in places:
            places.add(place)
            report.findings.append(shrunk(target, finding, place))
    report.took_s = time.monotonic() - started_s
    report.lines, report.kept = len(coverage.lines), len(kept)
    return report


def _failure(target: Target, tape: bytes) -> tuple[str, Finding | None]:
    """The place where a promise is broken, which tells findings apart, and the finding."""
    try:
        target.play(Tape(tape))
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        inner = [each for each in frames if each.filename.startswith(ROOT)] or frames
        place = f"{type(error).__name__} at {inner[-1].filename}:{inner[-1].lineno}"
        return place, Finding(target.name, tape, "".join(traceback.format_exception(error)))
    return "", None


def shrunk(target: Target, finding: Finding, place: str) -> Finding:
    """The same finding, of a tape that is about as short as can be."""
    tries = TRIES_TO_SHRINK
    size = len(finding.tape) // 2
    while size and tries > 0:
        start = 0
        while start < len(finding.tape) and tries > 0:
            tries -= 1
            shorter = finding.tape[:start] + finding.tape[start + size :]
            found_at, found = _failure(target, shorter)
            if found is not None and found_at == place:
                finding = found
            else:
                start += size
        size //= 2
    return finding


def _tapes(target: Target, kept: list[bytes], rng: random.Random) -> Iterator[bytes]:
    for _ in range(FIRST_TAPES):
        yield rng.randbytes(rng.randrange(1, target.longest))
    while True:
        if not kept or rng.randrange(4) == 0:
            yield rng.randbytes(rng.randrange(1, target.longest))
            continue
        tape = bytearray(rng.choice(kept))
        for _ in range(rng.choice((1, 1, 2, 4, 8))):
            _change(tape, kept, rng)
        yield bytes(tape[: target.longest])


def _change(tape: bytearray, kept: list[bytes], rng: random.Random) -> None:
    start = rng.randrange(len(tape) + 1)
    end = min(start + rng.choice((1, 1, 2, 8, 32)), len(tape))
    way = rng.randrange(5)
    if way == 0:  # Other decisions.
        tape[start:end] = rng.randbytes(end - start)
    elif way == 1:  # More of them.
        tape[start:start] = rng.randbytes(rng.randrange(1, 32))
    elif way == 2:  # Fewer.
        del tape[start:end]
    elif way == 3:  # The same again.
        tape[start:start] = tape[start:end]
    else:  # What another one did from there on.
        other = rng.choice(kept)
        tape[start:] = other[rng.randrange(len(other) + 1) :]
