"""A call that is not made yet: the task, its arguments and options, and what is to follow. The parts of a canvas."""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from actorq.errors import ImproperlyConfigured, nearest
from actorq.tasks.apps import APPS
from actorq.tasks.canvas import algebra, sending
from actorq.tasks.canvas.naming import Naming
from actorq.tasks.canvas.planning import Before, Flow, Planner, Step
from actorq.wire.records import VALUES

if TYPE_CHECKING:
    from actorq.tasks.canvas.stamping import StampingVisitor
    from actorq.tasks.protocol import Mesh
    from actorq.tasks.result import AsyncResult
    from actorq.wire.records import CallSpec, Plan

R = TypeVar("R")
S = TypeVar("S", bound="type[Signature[Any]]")

LINKS = ("link", "link_error")


class Signature(dict[str, Any], Generic[R]):
    """A call as data: a dict of ``task``, ``args``, ``kwargs``, ``options``, ``subtask_type`` and ``immutable``.

    It can be an argument, or a part of JSON; `from_dict` makes it of what arrives. Arguments given later come before
    its own ones; keyword arguments and options given later win. An immutable one takes no more arguments.

        add.s(2) | add.s(4)            # a chain: the value of each is the first argument of the next
    """

    TYPES: ClassVar[dict[str, builtins.type[Signature[Any]]]] = {}
    """The kinds of signatures, by `subtask_type`."""
    _app: Mesh | None = None

    def __init__(
        self,
        task: Any = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        subtask_type: str | None = None,
        immutable: bool = False,
        app: Mesh | None = None,
        **more_options: Any,
    ) -> None:
        if isinstance(task, dict):
            super().__init__(task)
            self._app = app or getattr(task, "_app", None)
            return
        named = isinstance(task, str) or task is None
        super().__init__(
            task=task if named else task.name,
            args=tuple(args or ()),
            kwargs=dict(kwargs or {}),
            options={**(options or {}), **more_options},
            subtask_type=subtask_type,
            immutable=immutable,
        )
        self._app = app or (None if named else task.app)

    # -- kinds ---------------------------------------------------------------------------------------------------

    @classmethod
    def register_type(cls, name: str | None = None) -> Callable[[S], S]:
        """A decorator: the class is that of signatures whose `subtask_type` is `name`, by default its own name."""

        def register(subclass: S) -> S:
            cls.TYPES[name or subclass.__name__] = subclass
            return subclass

        return register

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Mesh | None = None) -> Signature[Any]:
        """The signature that `d` was, with all that is in it."""
        kind = d.get("subtask_type")
        target = cls.TYPES.get(kind, None) if kind else Signature
        if target is None:
            hint = nearest(str(kind), cls.TYPES) or f"known are {', '.join(cls.TYPES)}"
            raise ImproperlyConfigured(f"a signature of type {kind!r} is not known here: {hint}")
        made = target.__new__(target)
        dict.__init__(
            made,
            task=d["task"],
            args=tuple(d.get("args") or ()),
            kwargs=dict(d.get("kwargs") or {}),
            options=_copied(d.get("options") or {}),
            subtask_type=kind,
            immutable=bool(d.get("immutable")),
        )
        made._app = app or getattr(d, "_app", None)
        made._adopt_parts()
        return made

    def _adopt_parts(self) -> None:
        """Make signatures of the parts, which came as plain dicts, or are those of the one that this is a copy of."""

    def _parts(self) -> Iterable[Signature[Any]]:
        """What it consists of."""
        return ()

    # -- items as attributes -------------------------------------------------------------------------------------

    @property
    def task(self) -> str:
        """Name of the task."""
        return self["task"]  # type: ignore[no-any-return]

    name = task

    @property
    def args(self) -> tuple[Any, ...]:
        return self["args"]  # type: ignore[no-any-return]

    @args.setter
    def args(self, args: Iterable[Any]) -> None:
        self["args"] = tuple(args)

    @property
    def kwargs(self) -> dict[str, Any]:
        return self["kwargs"]  # type: ignore[no-any-return]

    @kwargs.setter
    def kwargs(self, kwargs: Mapping[str, Any]) -> None:
        self["kwargs"] = dict(kwargs)

    @property
    def options(self) -> dict[str, Any]:
        """As for `apply_async`."""
        return self["options"]  # type: ignore[no-any-return]

    @options.setter
    def options(self, options: Mapping[str, Any]) -> None:
        self["options"] = dict(options)

    @property
    def subtask_type(self) -> str | None:
        """``"chain"``, ``"group"`` and so on; None for a plain call."""
        return self.get("subtask_type")

    @property
    def immutable(self) -> bool:
        return bool(self.get("immutable"))

    @immutable.setter
    def immutable(self, immutable: bool) -> None:
        self["immutable"] = immutable

    @property
    def id(self) -> str | None:
        """The task_id, where it was chosen or frozen."""
        return self.options.get("task_id")

    @property
    def app(self) -> Mesh:
        """The application that it is sent by. Raises ImproperlyConfigured if it has none."""
        app = self.own_app()
        if app is None:
            raise ImproperlyConfigured(
                f"{self!r} belongs to no application: make it with task.s() or app.signature(), or give it app=…"
            )
        return app

    def own_app(self) -> Mesh | None:
        """The application that it was given, or a part of it; else the current one."""
        return self._given_app() or APPS.current()

    def _given_app(self) -> Mesh | None:
        if self._app is None:
            given = (part._given_app() for part in self._parts())
            self._app = next((app for app in given if app is not None), None)
        return self._app

    @property
    def type(self) -> Any:
        """The task. Raises NotRegistered if it is not registered here."""
        return self.app.tasks[self.task]

    # -- making others of it -------------------------------------------------------------------------------------

    def clone(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Signature[R]:
        """A copy with more arguments, which come before its own, and with options changed."""
        new_args, new_kwargs, new_options = self._merge(args, kwargs, options)
        copy = type(self).__new__(type(self))
        dict.__init__(copy, self)
        copy["args"], copy["kwargs"], copy["options"] = new_args, dict(new_kwargs), _copied(new_options)
        copy._app = self._app
        copy._adopt_parts()
        return copy

    partial = clone

    def _merge(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        force: bool = False,
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        new_options = {**self.options, **options} if options else self.options
        if self.immutable and not force:
            return self.args, self.kwargs, new_options
        new_args = (*args, *self.args) if args else self.args
        return new_args, {**self.kwargs, **kwargs} if kwargs else self.kwargs, new_options

    def replace(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Signature[R]:
        """A copy with these instead of its own arguments, keyword arguments or options; what is None stays."""
        copy = self.clone()
        if args is not None:
            copy.args = tuple(args)
        if kwargs is not None:
            copy.kwargs = {**{key: self.kwargs[key] for key in self._part_names()}, **kwargs}
        if options is not None:
            copy.options = dict(options)
        return copy

    def _part_names(self) -> tuple[str, ...]:
        """Keyword arguments that are what it consists of, and not its task's."""
        return ()

    def set(self, immutable: bool | None = None, **options: Any) -> Signature[R]:
        """Change options in place. Returns self."""
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        self.immutable = immutable

    def __or__(self, other: Any) -> Signature[Any]:  # type: ignore[override]
        """What runs after it, with its value: see `actorq.tasks.canvas.algebra`."""
        if not isinstance(other, Signature):
            return NotImplemented
        return algebra.join(self, other)

    def __ror__(self, other: Any) -> Signature[Any]:  # type: ignore[override]
        if not isinstance(other, dict) or "task" not in other:
            return NotImplemented
        return algebra.join(maybe_signature(other, self.own_app()), self)

    __ior__ = __or__

    def steps(self) -> list[Signature[Any]]:
        """Itself as the parts of a chain."""
        return [self]

    # -- what follows --------------------------------------------------------------------------------------------

    def link(self, callback: Any) -> Any:
        """Have `callback` run with its value when it has succeeded. Returns the callback. The same one counts once."""
        return self.append_to_list_option("link", callback)

    def link_error(self, errback: Any) -> Any:
        """Have `errback` run when it has failed. Returns the errback. The same one counts once."""
        return self.append_to_list_option("link_error", errback)

    def on_error(self, errback: Any) -> Signature[R]:
        """As `link_error`, but returns self."""
        self.link_error(errback)
        return self

    def append_to_list_option(self, key: str, value: Any) -> Any:
        """Add to an option that is a list, unless it is in there. Returns the value."""
        items = self._list_option(key)
        if value not in items:
            items.append(value)
        return value

    def extend_list_option(self, key: str, value: Any) -> None:
        """Add one or several to an option that is a list."""
        self._list_option(key).extend(_as_list(value))

    def _list_option(self, key: str) -> list[Any]:
        items = self.options[key] = list(_as_list(self.options.get(key)))  # Others may have the list that was there.
        return items

    def stamp(self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any) -> None:
        """Have all its calls, and what is linked to them, carry these: their tasks see them as `request.stamps`, a dict of
        lists, and ``app.control.revoke_by_stamped_headers`` ends calls by them. visitor: has more for each part.
        append_stamps: a name that has a value already gets both.

        Raises ImproperlyConfigured for the name of an option.
        """
        from actorq.tasks.canvas.stamping import stamp

        stamp(self, visitor, append_stamps, headers)

    def flatten_links(self) -> list[Signature[Any]]:
        """Itself, and all that is linked to it, and to that."""
        return [self, *itertools.chain.from_iterable(link.flatten_links() for link in self.linked("link"))]

    def linked(self, option: str) -> Iterator[Signature[Any]]:
        """The signatures in ``link`` or ``link_error``."""
        for each in _as_list(self.options.get(option)):
            if not isinstance(each, Mapping):
                raise TypeError(f"{option} is a signature, such as task.s(1), or a list of them, and not {each!r}")
            yield maybe_signature(each, self.own_app())

    # -- calling -------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task here, in the caller."""
        new_args, new_kwargs, _ = self._merge(args, kwargs)
        return self.type(*new_args, **new_kwargs)

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """``apply_async(args, kwargs)``."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult[R]:
        """Submit it, with these arguments before its own, and options as for `Task.apply_async`."""
        if self.app.inline.runs_here:
            return self.apply(args, kwargs, **options)  # type: ignore[no-any-return]
        return self.bound(args, kwargs, options).send()  # type: ignore[no-any-return]

    def apply(self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Run it here, now, with all that follows it, and return its result, which is ready. throw: raise what it fails
        with; None: as the setting `task_eager_propagates` says. Arguments and values go through the serializer, as they
        do on their way to workers.
        """
        from actorq.tasks.eager import run_here

        throw = options.pop("throw", None)
        result = run_here(self.bound(args, kwargs, options))
        if (self.app.inline.propagates if throw is None else throw) and result is not None:
            result.get()
        return result

    def __invert__(self) -> R:
        """``apply_async().get()``."""
        return self.apply_async().get()

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Choose its ids now. Returns the result that it will have: to be waited for when it was sent."""
        for name, value in (("root_id", root_id), ("parent_id", parent_id)):
            if value is not None:
                self.options[name] = value
        return self.give_ids(Naming(), None, None if group_id is None else (group_id, group_index or 0), _id)

    def compile_as(self, task_id: str) -> tuple[list[CallSpec], Plan]:
        """The plan of it whose last call has that id, and its value. Spec numbers are places in the list, from 1."""
        return sending.compiled_as(self.bound(None, None, {}), task_id)

    # -- what canvases are made of -------------------------------------------------------------------------------

    def bound(
        self,
        args: Iterable[Any] | None,
        kwargs: Mapping[str, Any] | None,
        options: Mapping[str, Any],
        defaults: Mapping[str, Any] = {},
    ) -> Signature[Any]:
        """A copy to be sent: its parts have taken in these arguments and options, and `defaults` where they have none."""
        return self.clone(args, kwargs, **{**defaults, **self.options, **options})

    def send(self) -> Any:
        """Submit what `bound` has made. Returns its result."""
        if self.is_plain():
            return sending.send_call(self.app, self.task, self.args, self.kwargs, self.options)
        return sending.send_workflow(self)

    def is_plain(self) -> bool:
        """Whether nothing is linked to it."""
        return not (self.options.get("link") or self.options.get("link_error"))

    def give_ids(
        self, naming: Naming, parent: Any, group: tuple[str, int] | None = None, chosen: str | None = None
    ) -> Any:
        """Give ids to all calls that have none. Returns its result.

        parent: the result of what comes before it. group: id of the group that it is a member of, and its place there.
        chosen: the id of its last call.
        """
        options = self.options
        task_id = options["task_id"] = chosen or options.get("task_id") or naming.new_id()
        if group is not None:
            options["group_id"], options["group_index"] = group
        result = naming.result(task_id, self.app, parent)
        self._name_links(naming, result)
        return result

    def _name_links(self, naming: Naming, result: Any) -> None:
        if self.options.get("link"):
            callbacks = self.options["link"] = [each.bound(None, None, {}) for each in self.linked("link")]
            for callback in callbacks:
                callback.give_ids(naming, result)

    def plan(self, planner: Planner, before: Before, also: Sequence[Step] = ()) -> Flow | None:
        """Add its calls, which have their ids, and what is linked to it. Returns what it ends with; None for nothing.

        also: calls before it whose failure its errbacks are for as well.
        """
        mark = planner.mark
        flow = self.plan_calls(planner, before, also)
        if flow is not None and not self.is_plain():
            members = planner.members_since(mark)
            if members and members[0].takes != VALUES:  # Else it fails itself when one of those does.
                members = [*also, *members]
            with planner.aside():
                self._plan_links(planner, flow, members)
        return flow

    def plan_calls(self, planner: Planner, before: Before, also: Sequence[Step]) -> Flow | None:
        """As `plan`, without what is linked."""
        options = {name: value for name, value in self.options.items() if name not in LINKS}
        return planner.add(self.task, self.args, self.kwargs, options, before, self.immutable)

    def _plan_links(self, planner: Planner, flow: Flow, members: list[Step]) -> None:
        for callback in self.linked("link"):
            with planner.side_by_side():
                callback.plan(planner, flow)
        for linked in self.linked("link_error"):
            before = planner.caught(linked, members)
            if before is None:
                continue
            errback = linked.bound(None, None, {})
            if planner.has(errback.id):  # One that was frozen, and is that of several.
                del errback.options["task_id"]
            errback.give_ids(Naming(), None)
            errback.plan(planner, before)

    # -- as text and bytes ---------------------------------------------------------------------------------------

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        """The call as text, with these arguments before its own."""
        new_args, new_kwargs, _ = self._merge(args, kwargs, {}, force=True)
        shown = [*map(repr, new_args), *(f"{key}={value!r}" for key, value in new_kwargs.items())]
        return f"{self.task}({', '.join(shown)})"

    def __repr__(self) -> str:
        return self.reprcall()

    def __reduce__(self) -> Any:
        return (Signature.from_dict, (dict(self), self._app))

    def __deepcopy__(self, memo: dict[int, Any]) -> Signature[R]:
        return self.clone()


def signature(varies: Any, *args: Any, app: Mesh | None = None, **options: Any) -> Signature[Any]:
    """A signature: of a task or its name, as ``signature("add", args=(2, 2), countdown=10, app=app)``; or of a dict."""
    if isinstance(varies, dict):
        if isinstance(varies, Signature):
            return varies.clone()
        return Signature.from_dict(varies, app)
    made: Signature[Any] = Signature(varies, *args, **{"app": app, **options})
    return made


subtask = signature


def maybe_signature(d: Any, app: Mesh | None = None, clone: bool = False) -> Any:
    """The signature that a dict is; a signature as it is, or a copy with `clone`; anything else unchanged."""
    if isinstance(d, Signature):
        if d._app is None:
            d._app = app
        return d.clone() if clone else d
    return Signature.from_dict(d, app) if isinstance(d, dict) and "task" in d else d


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else list(value) if isinstance(value, tuple) else [value]


def _copied(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a copy: what is linked to it later is not linked to the original."""
    copy = dict(options)
    for option in LINKS:
        if option in copy:
            copy[option] = list(_as_list(copy[option]))
    return copy
