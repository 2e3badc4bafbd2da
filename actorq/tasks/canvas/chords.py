"""A group, and what takes the list of its values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from actorq.errors import ImproperlyConfigured
from actorq.tasks.canvas.chains import FIRST, OWN
from actorq.tasks.canvas.groups import group
from actorq.tasks.canvas.naming import Naming
from actorq.tasks.canvas.parts import signature_in
from actorq.tasks.canvas.planning import Before, Flow, Planner, Step
from actorq.tasks.canvas.sending import send_workflow
from actorq.tasks.canvas.signature import Signature, maybe_signature


@Signature.register_type("chord")
class chord(Signature[Any]):  # noqa: N801 - Celery's name
    """``chord(header, body)``, or ``chord(header)(body)``, or ``group | body``.

    The body runs once, when all of the header have succeeded, with the list of their values in the order of the header;
    at once, if that is empty. When one of them fails, the body fails with it, and its errbacks run. The result is that
    of the body, and its `parent` the GroupResult of the header. What it is called with goes to the header.
    """

    def __init__(
        self,
        header: Any,
        body: Any = None,
        task: str = "actorq.chord",
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        app: Any = None,
        **options: Any,
    ) -> None:
        parts = {"header": _header(header, app), "body": _body(body, app), "kwargs": dict(kwargs or {})}
        super().__init__(task, args, parts, options, "chord", app=app)

    @property
    def header(self) -> group:
        return self.kwargs["header"]  # type: ignore[no-any-return]

    @property
    def tasks(self) -> list[Signature[Any]]:
        """Those of the header."""
        return self.header.tasks

    @tasks.setter
    def tasks(self, tasks: Any) -> None:
        self.kwargs["header"] = _header(tasks, self._app)

    @property
    def body(self) -> Signature[Any] | None:
        return self.kwargs["body"]  # type: ignore[no-any-return]

    @body.setter
    def body(self, body: Any) -> None:
        self.kwargs["body"] = _body(body, self._app)

    def with_body(self, body: Signature[Any]) -> chord:
        """A copy with that body instead."""
        copy = chord(self.header, body, self.task, self.args, self.kwargs["kwargs"], self._app, **self.options)
        copy.immutable = self.immutable
        return copy

    def _parts(self) -> Iterable[Signature[Any]]:
        return [*self.tasks, self.body] if self.body is not None else self.tasks

    def _part_names(self) -> tuple[str, ...]:
        return ("header", "body", "kwargs")

    def _adopt_parts(self) -> None:
        body = _body(self.kwargs.get("body"), self._app)
        self["kwargs"] = {
            "header": _header(self.kwargs["header"], self._app).clone(),
            "body": None if body is None else body.clone(),
            "kwargs": dict(self.kwargs.get("kwargs") or {}),
        }

    def __call__(self, body: Any = None, **options: Any) -> Any:
        return (self if body is None else self.with_body(body)).apply_async(**options)

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        return True

    def link(self, callback: Any) -> Any:
        """Link it to the body."""
        return self._needed_body().link(callback)

    def link_error(self, errback: Any) -> Any:
        """Link it to the body: it runs once, when the body fails, or one of the header. Where the setting
        `task_allow_error_cb_on_chord_header` says so, it also runs for each of the header that fails.
        """
        self._needed_body().link_error(errback)
        app = self.own_app()
        if app is not None and app.conf.task_allow_error_cb_on_chord_header:
            self.header.link_error(errback)
        return errback

    def set_immutable(self, immutable: bool) -> None:
        """That of the tasks in the header. The body stays."""
        self.header.set_immutable(immutable)

    def _needed_body(self) -> Signature[Any]:
        if self.body is None:
            raise ImproperlyConfigured(f"{self!r} has no body: write chord(header, body), or chord(header)(body)")
        return self.body

    # -- see Signature ---------------------------------------------------------------------------------------------

    def bound(
        self,
        args: Iterable[Any] | None,
        kwargs: Mapping[str, Any] | None,
        options: Mapping[str, Any],
        defaults: Mapping[str, Any] = {},
    ) -> Signature[Any]:
        header_kwargs = {**self.kwargs["kwargs"], **(kwargs or {})}
        body = _body(header_kwargs.pop("body", None), self._app) or self._needed_body()
        defaults = {**defaults, **self.options}
        own = {name: value for name, value in {**defaults, **options}.items() if name in OWN}
        for_each = {name: value for name, value in options.items() if name not in OWN}
        otherwise = {name: value for name, value in defaults.items() if name not in OWN}
        app = self._given_app() or body._given_app()
        made = chord(self.header.bound(self._merge(args)[0], header_kwargs, for_each, otherwise), app=app, **own)
        made.body = body.bound(None, None, _without_first(for_each), _without_first(otherwise))
        if not isinstance(made.body, (group, chord)):  # What is linked to all of these is linked to no single one.
            for callback in made._take("link"):
                made.link(callback)
            for errback in made._take("link_error"):
                made.link_error(errback)
        return made

    def _take(self, option: str) -> list[Signature[Any]]:
        """The signatures in ``link`` or ``link_error``, out of the options."""
        linked = list(self.linked(option))
        self.options.pop(option, None)
        return linked

    def send(self) -> Any:
        return send_workflow(self)

    def give_ids(
        self, naming: Naming, parent: Any, group: tuple[str, int] | None = None, chosen: str | None = None
    ) -> Any:
        header = self.header.give_ids(naming, parent)
        result = self._needed_body().give_ids(naming, header, group, chosen or self.id)
        self._name_links(naming, result)
        return result

    def plan_calls(self, planner: Planner, before: Before, also: Sequence[Step]) -> Flow | None:
        mark = planner.mark
        flow = self.header.plan(planner, before)
        return self._needed_body().plan(planner, flow, planner.members_since(mark))

    def __repr__(self) -> str:
        if self.body is None:
            return f"chord({list(self.tasks)!r})"
        return f"chord({list(self.tasks)!r}, {self.body!r})"


def _header(given: Any, app: Any) -> group:
    if isinstance(given, dict):
        given = maybe_signature(given, app)
    return given if isinstance(given, group) else group(given, app=app)


def _body(given: Any, app: Any) -> Signature[Any] | None:
    return None if given is None else signature_in(given, app)


def _without_first(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in FIRST}
