"""How an application's tasks come to workers that cannot import them, and what it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actorq import native
from actorq.client.checks import check_code
from actorq.client.session import Session
from actorq.client.testbed import Testbed
from actorq.errors import MessageTooLarge
from actorq.policies.addresses import LOCAL
from actorq.tasks.program import Program, pack, unpack
from actorq.tasks.reference import reference_to
from actorq.tasks.registering import Registering
from actorq.tasks.task import Task
from actorq.wire.payload import code_blob, code_hash

PROGRAMS_KEPT = 100
"""Programs of one application that a worker keeps: of one that is changed and run again and again."""


class Travelling(Registering):
    """The part of an application that knows what of it travels.

    Where it arrives with a function that refers to it, it has no tasks; with a *program* it has those of that.
    """

    is_worker: bool
    offered: frozenset[str]
    testbed: Testbed | None
    session: Any
    url: Any

    def __init__(self) -> None:
        self._codes: dict[str, bytes] = {}
        """Functions that were sent by value: each session needs them anew."""
        self._program: tuple[str, frozenset[str]] | None = None
        """Digest of the program and the names of the tasks in it, once it was sent."""
        self._arrived_as = ""
        """Digest of the program with which it came here; empty: it was made here."""
        self._owner: Any = None
        """The one without tasks to which programs that are alike but for their tasks belong: they share its session."""
        self._programs: dict[str, Any] = {}
        self._opening = native.original("threading", "RLock")()

    # -- where it is ---------------------------------------------------------------------------------------------

    def code_of(self, task: Task[Any, Any]) -> str:
        """The digest of the function, if it has to travel by value: one of `__main__`, which no worker can import.

        The workers of an embedded mesh can import what this program can, but may not do so before it is needed: there
        the tasks of modules travel too, by reference.
        """
        if self.is_worker or self.testbed is not None or task.name in self.offered:
            return ""
        if task.fn.__module__ != "__main__":
            if not self.url.startswith(LOCAL):
                return ""
            reference = reference_to(task, self)
            if reference is not None:
                return self._add_code(reference)
        if self.tasks.get(task.name) is task:
            digest, names = self._program or self._send_program()
            if task.name in names:
                return digest
        return self._add_code(task if task.is_more_than_its_function else task.fn)

    def _send_program(self) -> tuple[str, frozenset[str]]:
        tasks = [task for task in self.tasks.values() if self._is_of_program(task)]
        parts, names = pack(self, tasks)
        try:
            self._program = self._add_code(Program(self, parts, self.task_of_program)), names
        except MessageTooLarge:
            self._program = "", frozenset()  # Each travels alone.
        return self._program

    def _is_of_program(self, task: Task[Any, Any]) -> bool:
        """Whether the task is of `__main__`, or of a function in which it was made."""
        if task.fn.__module__ == "__main__":
            return True
        return self.url.startswith(LOCAL) and reference_to(task, self) is None

    def _add(self, task: Task[Any, Any]) -> Task[Any, Any]:
        known = super()._add(task)
        if self._program is not None and self._is_of_program(task):
            for each in self.tasks.values():
                each.forget_spec()  # The next program has this one, too.
            self._program = None
        return known

    def _add_code(self, fn: Callable[..., Any]) -> str:
        digest, blob = code_blob(fn)
        check_code(getattr(fn, "__qualname__", type(fn).__name__), blob)
        return self._offer(digest, blob)

    def _offer(self, digest: str, blob: bytes) -> str:
        session: Session = self.session
        session.add_code(digest, blob)
        self._codes[digest] = blob
        return digest

    # -- where it arrives ----------------------------------------------------------------------------------------

    def with_program(self, parts: bytes) -> Any:
        """The same application with the tasks in `parts`; one for all that are alike. RUNS CODE."""
        key = code_hash(parts)
        with self._opening:
            app = self._programs.get(key)
            if app is None:
                app = self.twin()
                app._owner, app._codes = self, self._codes
                app.tasks.update(unpack(app, parts))
                if len(self._programs) >= PROGRAMS_KEPT:
                    del self._programs[next(iter(self._programs))]
                self._programs[key] = app
        return app

    def task_of_program(self, name: str, digest: str, blob: bytes) -> Task[Any, Any]:
        """A task of the program that has come here under `digest`. Raises NotRegistered."""
        if not self._arrived_as:
            self._arrived_as = digest
            self._program = digest, frozenset(self.tasks)
            self._codes[digest] = blob
        return self.tasks[name]

    def twin(self) -> Any:
        """An application like this one, without tasks."""
        raise NotImplementedError
