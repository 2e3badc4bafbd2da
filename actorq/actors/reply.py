"""The answer to an ask: given once, by any thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actorq.native import Bell


class Reply:
    """An answer that is to come. The first `answer` or `fail` stays; later ones change nothing.

    An actor gets one from `Actor.defer` when it wants to answer later than at the end of its handler.
    """

    __slots__ = ("_bell", "_outcomes", "abandoned", "on_settled")

    def __init__(self, bell: Bell | None = None) -> None:
        self._bell = bell
        self._outcomes: list[tuple[Any, BaseException | None]] = []  # An append is atomic, so there is one first.
        self.abandoned = False
        """Whether the asker has stopped waiting."""
        self.on_settled: Callable[[Reply], None] | None = None

    @property
    def settled(self) -> bool:
        """Whether there is an answer."""
        return bool(self._outcomes)

    def answer(self, value: Any = None) -> None:
        """Give `value` to the asker. From any thread."""
        self._settle(value, None)

    def fail(self, error: BaseException) -> None:
        """Raise `error` at the asker; the actor that answers does not fail by it. From any thread."""
        self._settle(None, error)

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for the answer. False if the time was over first; then, and if the wait was broken off, it is abandoned.

        Only where the bell was made, and once.
        """
        try:
            while not self._outcomes:
                assert self._bell is not None, "nobody was to wait for this reply"
                if not self._bell.wait(timeout_s):
                    break
        finally:
            self.abandoned = not self._outcomes
        return not self.abandoned

    def value(self) -> Any:
        """The answer, or raises the error that was given in its place."""
        value, error = self._outcomes[0]
        if error is not None:
            raise error
        return value

    def _settle(self, value: Any, error: BaseException | None) -> None:
        self._outcomes.append((value, error))
        if self.on_settled is not None:
            self.on_settled(self)
        if self._bell is not None:
            self._bell.ring()
