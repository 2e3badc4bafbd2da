"""The application: a registry of tasks, settings, and the session with the mesh. What users hold."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ParamSpec, TypeVar

import msgspec

from actorq import native
from actorq.client.bells import new_bell
from actorq.client.checks import check_id
from actorq.client.pending import Pending
from actorq.client.session import Session
from actorq.client.testbed import Testbed
from actorq.config import MESH_VARIABLE, ClientSettings
from actorq.context import current, importing
from actorq.control.control import Control
from actorq.errors import (
    ActorqError,
    ContentDisallowed,
    EncodeError,
    ImproperlyConfigured,
    MessageTooLarge,
    NotRegistered,
)
from actorq.native import Bell
from actorq.policies.addresses import LOCAL, parse_url
from actorq.policies.queues import queue_of
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
from actorq.tasks.gathering import as_completed, gather
from actorq.tasks.inline import Inline
from actorq.tasks.keys import keys_of
from actorq.tasks.making import Making
from actorq.tasks.mapping import Map
from actorq.tasks.options import make_spec, split_options
from actorq.tasks.progress import Progress
from actorq.tasks.questions import Questions
from actorq.tasks.reference import where_imported
from actorq.tasks.registering import Registry
from actorq.tasks.result import AsyncResult
from actorq.tasks.routed import Routing
from actorq.tasks.router import Amqp
from actorq.tasks.task import Task
from actorq.tasks.travelling import Travelling
from actorq.transport import LinkKeys
from actorq.wire.batches import revocations
from actorq.wire.builtin import BUILTIN_NAMES
from actorq.wire.frames import bytes_of
from actorq.wire.messages import Replies
from actorq.wire.payload import DEFAULT_SERIALIZER, Serializers, decode_failure
from actorq.wire.records import SUCCESS, CallSpec, Outcome

logger = logging.getLogger("actorq.client")
HEARD_S = 0.3
"""By then a coordinator has heard of what has ended, of which a client hears from the worker."""
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

NAME_LENGTH = 512
"""As `actorq.wire.declarations.Name` says."""


class ActorQ(Configurable, Travelling, Making, Questions):
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
        Configurable.__init__(self, namespace)
        Travelling.__init__(self)
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
        self.offered: frozenset[str] = frozenset()
        """In a worker of an embedded mesh, the tasks that all of its workers have."""
        self.testbed: Testbed | None = None
        """The mesh in this process in which a test runs it, in the place of the one at `url`."""
        self._discoveries: list[tuple[Iterable[str] | Callable[[], Iterable[str]], str]] = []
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

    def _session_settings(self) -> ClientSettings:
        return replace(self.settings, publish_timeout_s=self._publish_timeout_s)

    @property
    def _publish_timeout_s(self) -> float:
        return publish_timeout_s(self.conf.settings, self.settings.publish_timeout_s)

    # -- tasks ---------------------------------------------------------------------------------------------------

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
        if running is None or not running.call.id or self._arrived_as not in ("", running.spec.code):
            return None
        return self.tasks.get(running.spec.task)

    # -- calls ---------------------------------------------------------------------------------------------------

    def send_task(
        self, name: str, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult[Any]:
        """Call a task by name, without its code. If no worker offers the name, the call waits until one does.

        In an embedded mesh the task has to be registered here. Raises NotRegistered if it is not.

        Options as for `Task.apply_async`. If the task is registered here, its options are the defaults.
        """
        if "link" in options or "link_error" in options:
            return self.signature(name, args, kwargs).apply_async(**options)
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
        task = self.tasks.get(name)
        if task is None and self.url.startswith(LOCAL) and not self._arrived_as:
            raise NotRegistered(
                name,
                self.tasks,
                "the workers of local:// know the tasks of this program only; import the module that has it",
            )
        return make_spec(CallSpec(name), options_over_defaults(self.conf.settings, {})) if task is None else task.spec

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
        options = {**default_options(self.conf.settings), "rate_limit": None}  # That is one of tasks.
        return make_spec(CallSpec(name[:NAME_LENGTH], code=self._add_code(fn)), options)

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
        """The values of all results, in order. Raises the exception of the first that fails, as soon as it has; the others
        run on. TimeoutError if none has.
        """
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
        return AsyncResult(task_id, None, outcome, mesh=self, is_bare=True)

    # -- what results and control ask of us (see actorq.tasks.protocol.Mesh) ---------------------------------------

    def now_s(self) -> float:
        return time.monotonic() if self.testbed is None else self.testbed.now_s()

    def wall_s(self) -> float:
        return time.time() if self.testbed is None else self.testbed.wall_s()

    def new_bell(self) -> Bell:
        return new_bell() if self.testbed is None else self.testbed.new_bell()

    def wait(self, pending: Pending, timeout_s: float | None) -> bool:
        return pending.is_settled() or self.wait_all([pending], timeout_s)

    def wait_all(self, pendings: Sequence[Pending], timeout_s: float | None, until_failure: bool = False) -> bool:
        if all(each.is_settled() for each in pendings):
            return True  # Without a session: what ran here has none.
        session = self.session
        known = session.core.pending
        others = [each for each in pendings if known.get(each.id) is not each and not each.is_settled()]
        if not others:
            return session.wait_all(pendings, timeout_s, until_failure)
        watched = {each.id: session.watch(each) for each in others}
        have_come = session.wait_all([watched.get(each.id, each) for each in pendings], timeout_s, until_failure)
        for each in others:
            outcome = watched[each.id].outcome
            if outcome is not None:
                each.outcome = outcome
        return have_come

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

    def revoke(
        self, task_ids: Sequence[str], terminate: bool, wait: bool, timeout_s: float, roots: Sequence[str] = ()
    ) -> dict[str, str]:
        if wait:
            return self.control.end(task_ids, roots, terminate, timeout_s)
        for arguments in revocations(task_ids, roots, terminate):
            self.session.post("revoke", arguments)
        return {}

    def order(self, command: str, arguments: dict[str, Any], destination: Sequence[str], timeout_s: float) -> Replies:
        session = self.session
        if self._local is not None:
            self._local.wait_for_workers(session)
        return session.order(command, arguments, destination, timeout_s)

    # -- session -------------------------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The session with the mesh; made at the first use, and anew in a forked child."""
        if self._owner is not None:
            self._session = self._owner.session
            return self._session
        with self._lock:
            session = self._session
            if session is None or session.is_over:
                session = self._session = self._new_session()
                for digest, blob in self._codes.items():
                    session.add_code(digest, blob)
                atexit.register(self.close)
            return session

    def _new_session(self) -> Session:
        module = importing.get()
        if module:
            raise ImproperlyConfigured(
                f"{module} calls tasks, or asks the mesh, while a worker imports it: move what does so into a function, "
                f"or under: if __name__ == '__main__':"
            )
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
            options = {**embedded_options(self.conf.settings), **url.options}
            self._local = EmbeddedMesh(options, self._embedded_queues(), self._as_program())
        return (self._local.address,)

    def _embedded_queues(self) -> list[str]:
        queues = [queue_of(self.options_of(task)["queue"]) for task in self.tasks.values()]
        if not self.amqp.is_plain:
            queues += self.amqp.named_queues()
        return [self.conf.settings.task_default_queue, *queues]

    def _as_program(self) -> Any:
        """What its workers are to know of it, in an embedded mesh."""
        from actorq.client.embedded import EmbeddedProgram

        said = dict(self.conf.portable())
        del said["url"]
        app, include = where_imported(self)
        return EmbeddedProgram(app, include, said, self.amqp.queues.declarations())

    def forget_specs(self) -> None:
        """Find out anew how calls of each task are sent: it has another mesh from now on."""
        for task in list(self.tasks.values()):
            task.forget_spec()

    def close(self) -> None:
        """Send what waits (for at most 5 s), end the session, and an embedded mesh with it."""
        atexit.unregister(self.close)
        session, self._session = self._session, None
        if session is not None:
            if self._local is not None:
                self._say_what_ends(session)
            session.close()
        local, self._local = self._local, None
        if local is not None:
            local.close()

    def _say_what_ends(self, session: Session) -> None:
        """An embedded mesh keeps nothing: calls that nobody has waited for end with it, and that is no secret."""
        deadline_s = time.monotonic() + HEARD_S
        try:
            session.flush(5.0)
            while count := sum(
                int(reply.get("calls", 0)) for reply in session.order("coordinator", {}, (), 1.0).replies.values()
            ):
                if time.monotonic() > deadline_s:
                    break
                time.sleep(HEARD_S / 10)
        except (ActorqError, OSError):
            return  # The mesh has ended before.
        if count:
            logger.warning(
                "calls that have not ended, and end with the mesh of this program: %d. Wait for their results, or have a "
                "coordinator outlive the program ('actorq up')",
                count,
            )

    def __enter__(self) -> ActorQ:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ActorQ {self.main!r} at {self.url}>"

    def __reduce__(self) -> Any:
        """Functions that travel by value may refer to their application. It arrives without tasks and session."""
        return (_twin, (self.main, self.settings, self.conf.portable()))

    def twin(self) -> ActorQ:
        return ActorQ(self.main, settings=self.settings, changes=dict(self.conf.portable()), set_as_current=False)

    @property
    def Task(self) -> type[Task[Any, Any]]:  # noqa: N802 - Celery's name
        """The class of its tasks, to be subclassed."""
        return self.task_cls


@functools.cache
def _twin(main: str, settings: ClientSettings, changes: tuple[tuple[str, Any], ...]) -> ActorQ:
    """The application that stands here for one of another process. One for all that were alike, and so one session.

    In a worker it sends its calls to the mesh of that: its client may know the coordinators by other addresses.
    """
    given = dict(changes)
    pid, _, addresses = os.environ.get(MESH_VARIABLE, "").partition(" ")
    if pid == str(os.getpid()) and not given["url"].startswith(LOCAL):
        given["url"] = addresses
    return ActorQ(main, settings=settings, changes=given, set_as_current=False)


def _chunked(spec: CallSpec) -> CallSpec:
    return msgspec.structs.replace(spec, chunked=True, ignore_result=False)
