"""The application: a registry of tasks, settings, and the session with the mesh. What users hold."""

from __future__ import annotations

import atexit
import functools
import os
import time
import warnings
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

import msgspec

from actorq import native
from actorq.client.bells import new_bell
from actorq.client.checks import check_code, check_id, check_timeout
from actorq.client.pending import Pending
from actorq.client.session import Route, Session, Testbed
from actorq.config import BLOB_BYTES, MAX_BODY_BYTES, ClientSettings
from actorq.context import Running, current
from actorq.control.control import Control
from actorq.errors import (
    AlreadyQueued,
    ContentDisallowed,
    DuplicateTaskNameWarning,
    EncodeError,
    ImproperlyConfigured,
    MessageTooLarge,
    NotRegistered,
)
from actorq.native import Bell
from actorq.policies.addresses import LOCAL, parse_url
from actorq.policies.queues import queue_of
from actorq.policies.retry import RetryPolicy
from actorq.policies.routing import owner_of
from actorq.settings.annotations import annotations_of
from actorq.settings.configurable import Configurable
from actorq.settings.embedded import embedded_options
from actorq.settings.tasks import (
    default_options,
    options_over_defaults,
    payloads_of,
    publish_timeout_s,
    serializer_of,
)
from actorq.settings.unused import check_unused
from actorq.signals import publishing
from actorq.tasks.apps import APPS
from actorq.tasks.attributes import DEFINITION_OPTIONS
from actorq.tasks.broadcast import BroadcastResult
from actorq.tasks.discovery import discover, django_packages
from actorq.tasks.gathering import as_completed, gather
from actorq.tasks.inline import Inline
from actorq.tasks.keys import keys_of, with_keys
from actorq.tasks.making import Making
from actorq.tasks.mapping import Map
from actorq.tasks.options import expiry_time_s, make_spec, split_options, start_time_s
from actorq.tasks.progress import Progress
from actorq.tasks.publishing import Publication, published
from actorq.tasks.questions import Questions
from actorq.tasks.reference import reference_to
from actorq.tasks.request import child_of, extra_of
from actorq.tasks.result import AsyncResult
from actorq.tasks.routed import Routing
from actorq.tasks.router import Amqp
from actorq.tasks.task import Task, make_task
from actorq.transport import LinkKeys
from actorq.wire.builtin import BUILTIN_NAMES
from actorq.wire.frames import bytes_of
from actorq.wire.messages import (
    SUCCESS,
    Blob,
    Body,
    Call,
    CallSpec,
    Outcome,
    Plan,
    Replies,
)
from actorq.wire.payload import DEFAULT_SERIALIZER, Serializers, code_blob, decode_failure

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

NAME_LENGTH = 512
"""As `actorq.wire.messages.Name` says."""


class Registry(dict[str, Task[Any, Any]]):
    """Tasks by name. An unknown name raises NotRegistered, with the nearest known one."""

    def __missing__(self, name: str) -> Task[Any, Any]:
        raise NotRegistered(name, self)


class ActorQ(Configurable, Making, Questions):
    """An application.

        app = ActorQ("tasks")

        @app.task
        def add(x: int, y: int) -> int:
            return x + y

        add.delay(2, 3).get(timeout=5)

    `main` stands for `__main__` in the names of tasks. `url`, or `broker`, names the coordinators
    (``tcp://host:5570,tcp://other:5570``) or embeds a mesh in this program (``local://``,
    ``local://?processes=4&concurrency=100``); by default it is the environment's ACTORQ_URL, else tcp://127.0.0.1:5570.
    Nothing is connected or started before the first call. `key` is the path of a key file, by default the environment's
    ACTORQ_KEY; without one, coordinators on other hosts are refused, unless `insecure` is true (ACTORQ_INSECURE=1)
    because the network is trusted entirely. ``local://`` needs no key. `accept_content` lists the serializers whose
    payloads are opened here. `include` names modules that workers import.

    All these are settings, as are others: see `conf`. `changes` are more of them; `config_source` is what
    `config_from_object` takes, `namespace` how names in it begin (``"CELERY"``: ``CELERY_TASK_TIME_LIMIT``). `settings`
    are the bounds of its session. `task_cls` is the class of its tasks, where they name no `base`. What else Celery's
    constructor takes is accepted, with a warning that says why it has nothing to do here.

    The application that was made last is the `current_app`, unless `set_as_current` is false.
    """

    def __init__(
        self,
        main: str = "__main__",
        url: str | None = None,
        *,
        key: str | os.PathLike[str] | None = None,
        insecure: bool | None = None,
        settings: ClientSettings | None = None,
        accept_content: Iterable[str] | None = None,
        broker: str | Sequence[str] | None = None,
        backend: str | None = None,
        include: Iterable[str] | None = None,
        config_source: Any = None,
        namespace: str | None = None,
        changes: Mapping[str, Any] | None = None,
        task_cls: type[Task[Any, Any]] = Task,
        set_as_current: bool = True,
        **unused: Any,
    ) -> None:
        check_unused(unused)
        super().__init__(namespace)
        self.main = main
        self.task_cls = task_cls
        self.settings = settings or ClientSettings()
        self.serializers = Serializers.default()
        self._open_result: Callable[[str, bytes | memoryview], Any] = self._open_first
        self.tasks = Registry()
        self.amqp = Amqp(lambda: self.conf.settings)
        self.control = Control(self)
        self._routing = Routing(self)
        self.inline = Inline(self.conf)
        self.is_worker = False
        """Set in a worker node: `__main__` is not the user's program there."""
        self.testbed: Testbed | None = None
        """The mesh in this process in which a test runs it, in the place of the one at `url`."""
        self._discoveries: list[tuple[Iterable[str] | Callable[[], Iterable[str]], str]] = []
        self._codes: dict[str, bytes] = {}
        """Functions that were sent by value: each session needs them anew."""
        self._lock = native.new_lock()
        self._session: Session | None = None
        self._local: Any = None
        given = {
            "url": url or broker or None,
            "key": key,
            "insecure": insecure,
            "accept_content": None if accept_content is None else tuple(accept_content),
            "include": None if include is None else tuple(include),
            "result_backend": backend,
        }
        self.conf.update({name: value for name, value in given.items() if value is not None} | dict(changes or {}))
        if config_source is not None:
            self.config_from_object(config_source)
        publishing.watch(self._forget_routes)
        APPS.add(self, set_as_current)

    # -- settings ------------------------------------------------------------------------------------------------

    def options_of(self, task: Task[Any, Any]) -> dict[str, Any]:
        """The options of a task's calls: its own, and below them those of the settings."""
        return options_over_defaults(self.conf.settings, task.options)

    def _use_settings(self) -> None:
        """The settings were read, or are others now: forget what was made of them."""
        settings = self.conf.settings
        self.serializers.follow(*payloads_of(settings))
        accepted = settings.result_accept_content
        self._open_result = self.serializers.loads if accepted is None else partial(self._open_if_in, accepted)
        for task in list(self.tasks.values()):
            self._annotate(task)
            task.forget_spec()
        if self._session is not None:
            self._session.settings = self._session_settings()

    def _open_first(self, content: str, body: bytes | memoryview) -> Any:
        self.conf.settings  # noqa: B018 - they are read, and say what may be opened.
        return self._open_result(content, body)

    def _open_if_in(self, accepted: tuple[str, ...], content: str, body: bytes | memoryview) -> Any:
        if content.partition("+")[0] not in accepted:
            raise ContentDisallowed(content, accepted)
        return self.serializers.loads(content, body)

    def _annotate(self, task: Task[Any, Any]) -> None:
        """Have `task_annotations` change what was said of a task."""
        task.amend(annotations_of(task, self.conf.settings.task_annotations))

    def _session_settings(self) -> ClientSettings:
        return replace(self.settings, publish_timeout_s=self._publish_timeout_s)

    @property
    def _publish_timeout_s(self) -> float:
        return publish_timeout_s(self.conf.settings, self.settings.publish_timeout_s)

    # -- tasks ---------------------------------------------------------------------------------------------------

    @overload
    def task(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...

    @overload
    def task(self, fn: Callable[P, R], /) -> Task[P, R]: ...

    @overload
    def task(
        self, *, bind: Literal[True], name: str | None = ..., **options: Any
    ) -> Callable[[Callable[Concatenate[Any, P], R]], Task[P, R]]: ...

    @overload
    def task(
        self, *, bind: Literal[False] = ..., name: str | None = ..., **options: Any
    ) -> Callable[[Callable[P, R]], Task[P, R]]: ...

    def task(self, *functions: Any, **options: Any) -> Any:
        """Register a function, or a coroutine function, as a task: ``@app.task`` or ``@app.task(queue="fast", …)``.

        name: default ``module.function``, with `main` for ``__main__``. bind: pass the task itself as first argument.
        base: a subclass of `Task`. filter: called with the task; what it returns stands in the module. Of its calls:
        queue, priority (0 to 9, higher first, default 4), time_limit and soft_time_limit (seconds), max_deliveries
        (default 3), acks_late (default True; False: at most once), ignore_result, serializer, compression (gzip,
        zlib, bzip2, lzma, zstd, or one's own; of arguments and result), sensitive (True: arguments and result are shown
        in no log, and to nobody who asks what runs), rate_limit, max_concurrency, scope, key, fair_key, unique,
        unique_until, unique_conflict (see the attributes of `Task` of these names). Of the task: the
        attributes of `Task`, such as max_retries and autoretry_for, and those that `base` adds.
        """
        if not functions:
            return lambda fn: self._register(fn, dict(options))
        if len(functions) > 1 or not callable(functions[0]):
            raise TypeError(
                f"@app.task takes a function, or options by keyword, and not {', '.join(map(repr, functions))}"
            )
        return self._register(functions[0], dict(options))

    def _register(self, fn: Callable[..., Any], options: dict[str, Any]) -> Any:
        base, bind = options.pop("base", None) or self.task_cls, bool(options.pop("bind", False))
        name = options.pop("name", None) or self.gen_task_name(fn.__qualname__, fn.__module__)
        amend = options.pop("filter", None)
        for accepted in DEFINITION_OPTIONS:
            options.pop(accepted, None)
        known = self.tasks.get(name)
        if known is None:
            known = self._add(make_task(base, self, name, fn, bind, options))
        elif _place_of(known.fn) != _place_of(fn):
            warnings.warn(
                f"a task {name!r} is there already, of {known.fn!r}, and stays: give {fn!r} another name",
                DuplicateTaskNameWarning,
                stacklevel=3,
            )
        return known if amend is None else amend(known)

    def register_task(self, task: Any, **options: Any) -> Any:
        """Register an instance of a subclass of `Task`, or the class, under its `name` (default: that of the class)."""
        cls = task if isinstance(task, type) else type(task)
        if not issubclass(cls, Task):
            raise TypeError(f"register_task() takes an instance of a subclass of Task, and not {task!r}")
        name = options.pop("name", None) or cls.name or self.gen_task_name(cls.__qualname__, cls.__module__)
        if name in self.tasks:
            return self.tasks[name]
        instance = cls() if isinstance(task, type) else task
        instance.register_in(self, name, None, False, options)
        return self._add(instance)

    def _add(self, task: Task[Any, Any]) -> Task[Any, Any]:
        self.serializers.get(task.options.get("serializer", DEFAULT_SERIALIZER), task.options.get("compression") or "")
        if self.conf.is_loaded:
            self._annotate(task)
        return self.tasks.setdefault(task.name, task)

    def gen_task_name(self, name: str, module: str) -> str:
        """The name of a task that is given none: of its function's (or class's) name, and the module of that."""
        return f"{self.main if module == '__main__' else module}.{name}"

    def finalize(self, auto: bool = False) -> None:
        """Say, once, that the application is complete (`on_after_finalize`). A worker does so when it has imported all
        tasks; these need nothing of the kind.
        """
        self.on_after_finalize.send(self)

    def set_current(self) -> None:
        """Make it the `current_app` of this context: of this thread, greenlet or coroutine, and what these start."""
        APPS.set_current(self)

    def set_default(self) -> None:
        """Make it the `current_app` wherever no other one is."""
        APPS.set_default(self)

    @property
    def current_task(self) -> Task[Any, Any] | None:
        """The task that runs here; None if none does."""
        running = current.get()
        return None if running is None or not running.call.id else self.tasks.get(running.spec.task)

    def autodiscover_tasks(
        self,
        packages: Iterable[str] | Callable[[], Iterable[str]] | None = None,
        related_name: str = "tasks",
        force: bool = False,
    ) -> None:
        """Have workers import the module `related_name` of each package, where there is one: when they start, or with
        `force` now. What such a module raises comes out. Without `packages`: Django's INSTALLED_APPS.
        """
        self._discoveries.append((django_packages if packages is None else packages, related_name))
        if force:
            self.import_tasks()

    def import_tasks(self) -> None:
        """Import what `autodiscover_tasks` was told of. A worker does so when it starts."""
        pending, self._discoveries = self._discoveries, []
        for packages, related_name in pending:
            discover(packages() if callable(packages) else packages, related_name)

    def code_of(self, task: Task[Any, Any]) -> str:
        """The digest of the function, if it has to travel by value: one of `__main__`, which no worker can import.

        The workers of an embedded mesh can import what this program can, but have no module named to them: there the
        tasks of modules travel too, by reference.
        """
        if self.is_worker or self.testbed is not None:
            return ""
        is_local = self.url.startswith(LOCAL)
        if task.fn.__module__ != "__main__" and not is_local:
            return ""
        reference = reference_to(task, self) if is_local and task.fn.__module__ != "__main__" else None
        return self._add_code(reference or (task if task.is_more_than_its_function else task.fn))

    def _add_code(self, fn: Callable[..., Any]) -> str:
        digest, blob = code_blob(fn)
        check_code(getattr(fn, "__qualname__", type(fn).__name__), blob)
        self.session.add_code(digest, blob)
        self._codes[digest] = blob
        return digest

    # -- calls ---------------------------------------------------------------------------------------------------

    def send_plain(self, task: Task[Any, Any], args: Sequence[Any], kwargs: dict[str, Any]) -> AsyncResult[Any]:
        route, session = task.route, self._session
        if route is None or session is None or route.session is not session or session.is_over:
            if self.inline.runs_here:
                return task.apply(args, kwargs)
            options, is_constant = self._routing.find(task.name, task.options, args, kwargs, {})
            changes, others = split_options(options)
            spec = make_spec(task.spec, changes) if changes else task.spec
            if publishing.heard:
                return self._send_announced(spec, args, kwargs, others)
            route = self._route(spec)
            if others:
                return self._send_with(route, args, kwargs, others)
            if is_constant:
                task.route = route
        return self._submit(route, args, kwargs)

    def routed(
        self,
        name: str,
        own: Mapping[str, Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        return self._routing.find(name, own, args, kwargs, options)[0]

    def broadcast(self, task: Task[Any, Any], args: Sequence[Any], kwargs: dict[str, Any]) -> BroadcastResult[Any]:
        return self._routing.broadcast(task, args, kwargs)

    def send(
        self, spec: CallSpec, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        if publishing.heard:
            return self._send_announced(spec, args, kwargs, options)
        route = self._route(spec)
        if not options:
            return self._submit(route, args, dict(kwargs))
        return self._send_with(route, args, dict(kwargs), options)

    def _send_announced(
        self, spec: CallSpec, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        task_id = options.get("task_id") or self.session.new_id()
        publication = Publication(spec, str(task_id), args, kwargs, options)
        result = self._send_with(self._route(spec), args, dict(kwargs), publication.before())
        publication.after()
        return result

    def _forget_routes(self) -> None:
        """Somebody wants to hear of calls, or nobody does any more: those by the fast way ask nobody."""
        for task in list(self.tasks.values()):
            task.route = None

    def _route(self, spec: CallSpec) -> Route:
        session = self.session
        self._check_queue(spec)
        form = self.serializers.get(spec.serializer, spec.compression or self.serializers.task_compression)
        serializer, _, compression = form.name.partition("+")
        if (serializer, compression) != (spec.serializer, spec.compression):  # It was named by an alias.
            spec = msgspec.structs.replace(spec, serializer=serializer, compression=compression)
        self.serializers.max_body_bytes = session.max_body_bytes or MAX_BODY_BYTES
        return Route(session, spec, session.number(spec), form.encode_call)

    def _check_queue(self, spec: CallSpec) -> None:
        """Raise ImproperlyConfigured if no worker of an embedded mesh takes calls of its queue."""
        if self._local is not None and spec.queue and not owner_of(spec.queue):
            self._local.check_queue(spec.queue)

    def _large(self, route: Route, body: bytes) -> Body:
        """A large body as it travels. Raises MessageTooLarge."""
        limit_bytes = route.session.max_body_bytes or MAX_BODY_BYTES
        if len(body) > limit_bytes:
            raise MessageTooLarge(f"the body of {route.spec.task}'s arguments", len(body), limit_bytes)
        route.session.expect_large_bodies()
        return Blob(body)

    def _submit(self, route: Route, args: Sequence[Any], kwargs: dict[str, Any]) -> AsyncResult[Any]:
        """The hot path: what a producer can submit in a second depends on each line here."""
        if current.get() is not None:
            return self._send_with(route, args, kwargs, {})
        session = route.session
        body = route.encode_call(args, kwargs)
        task_id = session.new_id()
        call = Call(task_id, route.number, body if len(body) < BLOB_BYTES else self._large(route, body))
        result: AsyncResult[Any] = AsyncResult(task_id, call, None, None, self)
        session.submit(result, call, session.settings.publish_timeout_s, route.wait)
        if not route.wait:
            result.ignored = True
        return result

    def _send_with(
        self, route: Route, args: Sequence[Any], kwargs: dict[str, Any], options: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        session, chosen_id = route.session, options.get("task_id")
        call = self._call_with(route, args, kwargs, options)
        result: AsyncResult[Any] = AsyncResult(call.id, call, mesh=self, ignored=not route.wait)
        if call.extra is not None and call.extra.unique:
            return self._send_unique(route, result, call, options)
        session.submit(result, call, self._patience_s(options), route.wait, bool(chosen_id))
        return result

    def _call_with(self, route: Route, args: Sequence[Any], kwargs: dict[str, Any], options: Mapping[str, Any]) -> Call:
        now_s, running = self.wall_s(), current.get()
        if running is not None:
            route = self._with_inherited_priority(route, running)
        body: bytes = route.encode_call(args, kwargs)
        chosen_id = options.get("task_id")
        return Call(
            check_id(str(chosen_id)) if chosen_id else route.session.new_id(),
            route.number,
            body if len(body) < BLOB_BYTES else self._large(route, body),
            start_time_s(options.get("countdown"), options.get("eta"), now_s, self.conf.zone),
            expiry_time_s(options.get("expires"), now_s, self.conf.zone),
            extra=with_keys(
                extra_of(options, child_of(running)), route.spec.task, options, args, kwargs, route.encode_call, now_s
            ),
        )

    def _send_unique(
        self, route: Route, result: AsyncResult[Any], call: Call, options: Mapping[str, Any]
    ) -> AsyncResult[Any]:
        holder = route.session.submit_unique(result, call, self._patience_s(options), route.wait)
        if holder == call.id:
            return result
        if options.get("unique_conflict") == "raise":
            raise AlreadyQueued(route.spec.task, holder)
        return self.AsyncResult(holder)

    def send_plan(
        self, specs: Sequence[CallSpec], plan: Plan, results: Sequence[Pending], options: Mapping[str, Any]
    ) -> None:
        session = self.session
        for spec in specs:
            self._check_queue(spec)
        numbers = [session.number(spec) for spec in specs]
        sent = [(node.call.id, specs[node.call.spec - 1]) for node in plan.nodes] if publishing.heard else ()
        for node in plan.nodes:
            node.call.spec = numbers[node.call.spec - 1]
        session.submit_plan(plan, results, self._patience_s(options))
        for task_id, spec in sent:
            published(spec, task_id)

    def _with_inherited_priority(self, route: Route, running: Running) -> Route:
        """The way for a call that the running task makes: with the priority of its own, if that is inherited."""
        settings, priority = self.conf.settings, running.spec.priority
        default = settings.task_default_priority
        if not settings.task_inherit_parent_priority or route.spec.priority != default or priority == default:
            return route
        return self._route(make_spec(route.spec, {"priority": priority}))

    def _patience_s(self, options: Mapping[str, Any]) -> float | None:
        """For how long a call may try to reach the mesh."""
        if not options.get("retry", True):
            return 0.0
        if "retry_policy" in options:
            return check_timeout(RetryPolicy.of(options["retry_policy"]).budget_s())
        if "publish_timeout" in options:
            return check_timeout(options["publish_timeout"])
        return check_timeout(self._publish_timeout_s)

    def send_task(
        self, name: str, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult[Any]:
        """Call a task by name, without its code. If no worker offers the name, the call waits until one does.

        In an embedded mesh the task has to be registered here. Raises NotRegistered if it is not.

        Options as for `Task.apply_async`. If the task is registered here, its options are the defaults.
        """
        self.inline.warn_of(name)
        spec, task = self._spec_by_name(name), self.tasks.get(name)
        if task is not None:
            return task.send(tuple(args or ()), kwargs or {}, options, spec)
        args = tuple(args or ())
        changes, others = split_options(self.routed(name, {}, args, kwargs or {}, options))
        return self.send(make_spec(spec, changes) if changes else spec, args, kwargs or {}, others)

    def _spec_by_name(self, name: str) -> CallSpec:
        if name in BUILTIN_NAMES:
            return make_spec(CallSpec(name), {"serializer": serializer_of(self.conf.settings)})
        if self.url.startswith(LOCAL):
            return self.tasks[name].spec  # The workers of an embedded mesh know tasks from here only.
        task = self.tasks.get(name)
        options = default_options(self.conf.settings) if task is None else self.options_of(task)
        return make_spec(CallSpec(name), options)

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Run any function on a worker: lambdas, closures and functions of `__main__` travel by value.

        Arguments that msgpack cannot carry travel by cloudpickle. For options make it a task.
        """
        if isinstance(fn, Task):
            return fn.delay(*args, **kwargs)
        spec = self._by_value(fn)
        try:
            return self.send(spec, args, kwargs, {})
        except EncodeError as error:
            if isinstance(error, MessageTooLarge):
                raise
            return self.send(make_spec(spec, {"serializer": "cloudpickle"}), args, kwargs, {})

    def _by_value(self, fn: Callable[..., Any]) -> CallSpec:
        if not callable(fn):
            raise TypeError(f"submit() takes a function and its arguments, and not {fn!r}")
        name = f"{getattr(fn, '__module__', '?')}.{getattr(fn, '__qualname__', type(fn).__name__)}"
        return make_spec(CallSpec(name[:NAME_LENGTH], code=self._add_code(fn)), default_options(self.conf.settings))

    def map(
        self,
        fn: Callable[[T], R],
        items: Iterable[T],
        chunksize: int | None = None,
        ordered: bool = True,
        progress: bool = False,
    ) -> Map[R]:
        """``fn(item)`` for each item, on the mesh, as a stream of results; see `Map`.

        chunksize: items that travel together; None adapts it. ordered: results in the order of the items, or as they
        come. progress: show a bar with rate and time left.
        """
        if isinstance(fn, Task) and keys_of(fn):
            raise ImproperlyConfigured(
                f"task {fn.name!r} has keys ({', '.join(keys_of(fn))}), which items that travel together have not one "
                f"of: use delay() for each"
            )
        spec = self._routing.spec_of(fn) if isinstance(fn, Task) else self._by_value(fn)
        if spec.is_limited:
            chunksize = 1  # A limit counts calls.
        spec = _chunked(spec)
        fallback = make_spec(spec, {"serializer": "cloudpickle"})

        def submit(chunk: list[Any]) -> AsyncResult[Any]:
            try:
                return self.send(spec, ([[item] for item in chunk],), {}, {})
            except EncodeError as error:
                if isinstance(error, MessageTooLarge):
                    raise
                return self.send(fallback, ([[item] for item in chunk],), {}, {})

        bar = Progress(spec.task) if progress else None
        return Map(submit, items, lambda: self.session.slots, chunksize, ordered, bar, self.new_bell())

    def gather(self, *results: AsyncResult[Any], timeout: float | None = None) -> list[Any]:
        """The values of all results, in order. Raises the first exception, or TimeoutError."""
        for each in results:
            if not isinstance(each, AsyncResult):
                raise TypeError(f"gather() takes results, and not {each!r}: to gather a list write gather(*results)")
        return gather(self, results, timeout)

    def as_completed(self, results: Iterable[AsyncResult[R]], timeout: float | None = None) -> Iterator[AsyncResult[R]]:
        """The results in the order in which they settle. Raises TimeoutError when `timeout` is over before the last."""
        return as_completed(self, results, timeout)

    def AsyncResult(self, task_id: str) -> AsyncResult[Any]:  # noqa: N802 - Celery's name
        """A handle to a call by its id, whoever submitted it. Raises ImproperlyConfigured if it can be no id."""
        check_id(task_id)
        outcome = self.inline.outcome_of(task_id)
        if outcome is None and self._session is not None and not self._session.is_over:
            known = self._session.core.pending.get(task_id)
            if isinstance(known, AsyncResult):
                return known
        return AsyncResult(task_id, None, outcome, mesh=self)

    # -- what results and control ask of us (see actorq.tasks.protocol.Mesh) ---------------------------------------

    def now_s(self) -> float:
        return time.monotonic() if self.testbed is None else self.testbed.now_s()

    def wall_s(self) -> float:
        return time.time() if self.testbed is None else self.testbed.wall_s()

    def new_bell(self) -> Bell:
        return new_bell() if self.testbed is None else self.testbed.new_bell()

    def wait(self, pending: Pending, timeout_s: float | None) -> bool:
        return pending.is_settled() or self.wait_all([pending], timeout_s)

    def wait_all(self, pendings: Sequence[Pending], timeout_s: float | None) -> bool:
        session = self.session
        known = session.core.pending
        others = [each for each in pendings if known.get(each.id) is not each and not each.is_settled()]
        if not others:
            return session.wait_all(pendings, timeout_s)
        watched = {each.id: session.watch(each) for each in others}
        if not session.wait_all([watched.get(each.id, each) for each in pendings], timeout_s):
            return False
        for each in others:
            each.outcome = watched[each.id].outcome
        return True

    def subscribe(self, pending: Pending, notify: Callable[[], None]) -> Callable[[], None]:
        session = self.session
        if pending.is_settled() or session.core.pending.get(pending.id) is pending:
            return session.subscribe(pending, notify)
        watched = session.watch(pending)

        def share() -> None:
            pending.outcome = watched.outcome
            notify()

        return session.subscribe(watched, share)

    def deliverer(self, fn: Callable[[], object]) -> Callable[[], None]:
        return self.session.callbacks.deliverer(fn)

    def open_outcome(self, outcome: Outcome) -> Any:
        body = outcome.body if isinstance(outcome.body, bytes) else bytes_of(outcome.body)
        if outcome.state == SUCCESS:
            return self._open_result(outcome.content or DEFAULT_SERIALIZER, body) if len(body) else None
        return decode_failure(body)

    def revoke(self, task_ids: Sequence[str], terminate: bool, wait: bool, timeout_s: float) -> dict[str, str]:
        if not wait:
            self.session.post("revoke", {"ids": list(task_ids), "terminate": terminate})
            return {}
        return self.control.revoke(list(task_ids), terminate, timeout_s)

    def order(self, command: str, arguments: dict[str, Any], destination: Sequence[str], timeout_s: float) -> Replies:
        return self.session.order(command, arguments, destination, timeout_s)

    # -- session -------------------------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The session with the mesh; made at the first use, and anew in a forked child."""
        with self._lock:
            session = self._session
            if session is None or session.is_over:
                session = self._session = self._new_session()
                for digest, blob in self._codes.items():
                    session.add_code(digest, blob)
                atexit.register(self.close)
            return session

    def _new_session(self) -> Session:
        if self.testbed is not None:
            return self.testbed.open_session()
        return Session(self._addresses(), self._session_settings(), self._link_keys(), self.insecure)

    def _link_keys(self) -> LinkKeys | None:
        """What the key file says. Raises BadKey."""
        if not self.key or parse_url(self.url).is_local:
            return None
        from actorq.keys import client_keys, load_key

        return client_keys(load_key(self.key))

    def _addresses(self) -> Sequence[str]:
        url = parse_url(self.url)
        if not url.is_local:
            return url.addresses
        from actorq.client.embedded import EmbeddedMesh, surrounding_mesh

        surrounding = surrounding_mesh()
        if surrounding:
            return (surrounding,)
        if self._local is None:
            settings = self.conf.settings
            queues = [queue_of(self.options_of(task)["queue"]) for task in self.tasks.values()]
            if not self.amqp.is_plain:
                queues += self.amqp.named_queues()
            self._local = EmbeddedMesh(
                {**embedded_options(settings), **url.options}, [settings.task_default_queue, *queues]
            )
        return (self._local.address,)

    def forget_specs(self) -> None:
        """Find out anew how calls of each task are sent: it has another mesh from now on."""
        for task in list(self.tasks.values()):
            task.forget_spec()

    def close(self) -> None:
        """Send what waits (for at most 5 s), end the session, and an embedded mesh with it."""
        atexit.unregister(self.close)
        session, self._session = self._session, None
        if session is not None:
            session.close()
        local, self._local = self._local, None
        if local is not None:
            local.close()

    def __enter__(self) -> ActorQ:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ActorQ {self.main!r} at {self.url}>"

    def __reduce__(self) -> Any:
        """Functions that travel by value may refer to their application. It arrives without tasks and session."""
        return (_twin, (self.main, self.settings, self.conf.portable()))

    @property
    def Task(self) -> type[Task[Any, Any]]:  # noqa: N802 - Celery's name
        """The class of its tasks, to be subclassed."""
        return self.task_cls


@functools.cache
def _twin(main: str, settings: ClientSettings, changes: tuple[tuple[str, Any], ...]) -> ActorQ:
    """The application that stands here for one of another process. One for all that were alike, and so one session."""
    return ActorQ(main, settings=settings, changes=dict(changes), set_as_current=False)


def _chunked(spec: CallSpec) -> CallSpec:
    return msgspec.structs.replace(spec, chunked=True, ignore_result=False)


def _place_of(fn: Callable[..., Any]) -> object:
    """Where a function is written: the same for one whose module was imported twice."""
    code = getattr(fn, "__code__", None)
    return fn if code is None else (code.co_filename, code.co_firstlineno)
