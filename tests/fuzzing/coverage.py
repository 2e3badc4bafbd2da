"""Which lines of actorq a run reaches that none before has reached."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import actorq

ROOT = str(Path(actorq.__file__).parent)


class Coverage:
    """Follows functions in some of the package's modules until it has seen all their lines: then they cost nothing."""

    def __init__(self, modules: Sequence[str]) -> None:
        self.lines: set[tuple[str, int]] = set()
        self._files = tuple(f"{ROOT}/{module}" for module in modules)
        self._unseen: dict[CodeType, set[int] | None] = {}
        """Lines of a function that were not reached yet; None for those that are not followed (any more)."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what is called within the block, on this thread."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        unseen = self._unseen.get(code, ...)
        if unseen is ...:
            is_ours = code.co_filename.startswith(self._files)
            starts = {line for _, line in dis.findlinestarts(code) if line}
            unseen = starts - {code.co_firstlineno} if is_ours else None  # Nobody is told of the first one.
            self._unseen[code] = unseen
        return self._follow if unseen else None

    def _follow(self, frame: FrameType, event: str, argument: Any) -> Any:
        unseen = self._unseen[frame.f_code]
        if unseen and frame.f_lineno in unseen:
            unseen.discard(frame.f_lineno)
            self.lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._follow if unseen else None
