"""What an application needs of a mesh that a test makes for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from actorq.client.session import Session
    from actorq.native import Bell


class Testbed(Protocol):
    """A mesh in this process, with a time of its own, in which a test runs an application."""

    def open_session(self) -> Session: ...

    def now_s(self) -> float:
        """The monotonic time."""

    def wall_s(self) -> float:
        """Unix time."""

    def new_bell(self) -> Bell:
        """What waiting is done with, so that the mesh runs meanwhile."""
