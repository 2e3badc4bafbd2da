"""What a chain, group or chord is made of, in all the forms in which it may be given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from actorq.errors import ImproperlyConfigured
from actorq.tasks.canvas.signature import Signature, maybe_signature


class OfTasks(Signature[Any]):
    """What chains and groups have in common: the signatures in `tasks`."""

    @property
    def tasks(self) -> list[Signature[Any]]:
        return self.kwargs["tasks"]  # type: ignore[no-any-return]

    @tasks.setter
    def tasks(self, tasks: Iterable[Any]) -> None:
        self.kwargs["tasks"] = list(tasks)

    def _parts(self) -> Iterable[Signature[Any]]:
        return self.tasks

    def _part_names(self) -> tuple[str, ...]:
        return ("tasks",)


def signatures_of(given: Any, app: Any) -> list[Signature[Any]]:
    """The signatures in a list, also of dicts, or in the only element of one. Raises ImproperlyConfigured."""
    if isinstance(given, tuple) and len(given) == 1 and not isinstance(given[0], dict):
        given = given[0]
    if isinstance(given, dict) or not isinstance(given, Iterable):
        given = [given]
    return [signature_in(each, app) for each in given]


def signature_in(given: Any, app: Any) -> Signature[Any]:
    """A signature, also of a dict. Raises ImproperlyConfigured."""
    found = maybe_signature(given, app)
    if not isinstance(found, Signature):
        raise ImproperlyConfigured(f"a workflow is made of signatures, such as task.s(…), and not of {given!r}")
    return found
