"""Every error that actorq raises. Each says what happened and, where there is something to do, what to do next."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any


class ActorqError(Exception):
    """Base of all errors that actorq raises."""

    has_begun = True
    """False of one that a worker has raised because it cannot run a call. It does not travel."""


class TaskError(ActorqError):
    """Base of the errors that have to do with one task, or one call of it."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as ``did you mean 'fast'?``, or an empty string if nothing known is near to `name`."""
    near = get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else ""


# -- configuration and use ---------------------------------------------------------------------------------------


class ImproperlyConfigured(ActorqError):
    """A setting, option or combination of them cannot be used."""


class BadKey(ImproperlyConfigured):
    """A key file that cannot be used, as it is missing, damaged, open to others, or not of the kind that is needed."""


class SecurityError(ActorqError):
    """Something is not done because it would not be safe."""


class NotRegistered(TaskError, KeyError):
    """No task of that name is registered in this application."""

    def __init__(self, name: str, known: Iterable[str] = (), hint: str = "") -> None:
        """`hint`: what to do about it where no known name is like it."""
        advice = hint or "import the module that defines it, or use send_task() to call it by name"
        super().__init__(f"no task {name!r} is registered here: {nearest(name, known) or advice}")
        self.name = name

    def __str__(self) -> str:
        return str(self.args[0])


class AlreadyRegistered(TaskError):
    """Another task has that name already."""


class QueueNotFound(TaskError, KeyError):
    """A call was routed to a queue that is not among `task_queues`, and none may be made for it."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class CommandError(ActorqError):
    """A command of the command line cannot do what it was asked. `exit_code` is the status that it ends with."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class TimeoutError(TaskError, builtins.TimeoutError):
    """The result, reply or condition did not come within the time that was given."""


# -- the mesh ----------------------------------------------------------------------------------------------------


class OperationalError(ActorqError):
    """The mesh cannot be reached, or does not take more work at present."""


class AddressInUse(OperationalError):
    """Another program listens on the address already."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"cannot listen on {address}: the address is in use. Stop the program that holds it, or choose another "
            f"port with --listen"
        )
        self.address = address


class BadAddress(ImproperlyConfigured):
    """An address that is not of the form that is needed, such as ``tcp://127.0.0.1:5570``."""


class StoreInUse(ImproperlyConfigured):
    """Somebody else has the store open."""


class StoreTooNew(ImproperlyConfigured):
    """A later release of actorq has written the store."""


class StoreFailed(OperationalError):
    """A store cannot be read or written: says which, why, and what to do."""


class ProtocolError(ActorqError):
    """A peer sent something that the protocol does not allow. Its session ends; nobody else is affected."""


class VersionMismatch(ProtocolError):
    """The two sides speak protocol versions that do not overlap."""


class CallRefused(ActorqError):
    """The coordinator did not take the call. `reason` is for people, and says what to do."""

    def __init__(self, task_id: str, reason: str) -> None:
        super().__init__(f"call {task_id} was refused: {reason}")
        self.task_id = task_id
        self.reason = reason


class AlreadyQueued(ActorqError):
    """Another call holds the unique key, and the task says that this is an error. `task_id` is that call's."""

    def __init__(self, task: str, task_id: str) -> None:
        super().__init__(
            f"task {task!r}: call {task_id} holds the unique key already; see app.AsyncResult({task_id!r})"
        )
        self.task = task
        self.task_id = task_id


class NotPermitted(ActorqError):
    """This program's key does not have the right to do that. Says which right it needs."""


# -- payloads ----------------------------------------------------------------------------------------------------


class EncodeError(ActorqError):
    """An argument or a result cannot be serialized."""


class DecodeError(ActorqError):
    """Bytes that are not what their content type says."""


class ContentDisallowed(DecodeError):
    """A payload of a content type that `accept_content` does not list."""

    def __init__(self, content: str, accepted: Iterable[str]) -> None:
        names = ", ".join(sorted(accepted)) or "nothing"
        super().__init__(
            f"content type {content!r} is not accepted here (accepted: {names}). Add it to accept_content on the "
            f"receiving side if you trust all who can send, or choose another serializer"
        )
        self.content = content


class MessageTooLarge(EncodeError):
    """A body is over the limit for one message."""

    def __init__(self, what: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"{what} has {size_bytes:,} bytes, the limit is {limit_bytes:,}. Pass a reference to the data (a path, a "
            f"key), or raise max_body_bytes on every node"
        )
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


# -- what tasks raise to say how they go on ----------------------------------------------------------------------


class TaskPredicate(ActorqError):
    """Base of what a task raises to say what is to become of its call, in place of a value or a failure."""

    replacement: bytes = b""
    """What the call goes on as (an encoded `actorq.wire.records.Replacement`); empty: it does not go on."""


class Retry(TaskPredicate):
    """The call is run again, later. Raised by `self.retry()`.

    exc: why, an exception or its text. when: seconds from now, or the time. sig: the call that is made.
    """

    def __init__(
        self,
        message: str | None = None,
        exc: BaseException | str | None = None,
        when: float | datetime | None = None,
        is_eager: bool = False,
        sig: Any = None,
    ) -> None:
        super().__init__(message, exc, when)
        self.message = message
        self.exc = None if isinstance(exc, str) else exc
        self.excs = exc if isinstance(exc, str) else None if exc is None else repr(exc)
        """The reason as text."""
        self.when = when
        self.is_eager = is_eager
        self.sig = sig

    def humanize(self) -> str:
        """``in 3s``, ``at`` a time, or ``now``."""
        if isinstance(self.when, (int, float)):
            return f"in {self.when:g}s"
        return "now" if self.when is None else f"at {self.when}"

    def __str__(self) -> str:
        if self.message:
            return self.message
        return f"Retry {self.humanize()}: {self.excs}" if self.excs else f"Retry {self.humanize()}"

    def __reduce__(self) -> Any:
        return self.__class__, (self.message, self.exc or self.excs, self.when)


class Ignore(TaskPredicate):
    """Nothing is to become of the call: it ends as REVOKED, and nothing that was to follow it runs."""


class Reject(TaskPredicate):
    """The call cannot be worked on here. It fails with this error; with `requeue` it goes back to its queue at once."""

    def __init__(self, reason: object = None, requeue: bool = False) -> None:
        super().__init__(reason, requeue)
        self.reason = reason
        self.requeue = requeue

    def __str__(self) -> str:
        return f"reject requeue={self.requeue}: {self.reason}"

    __repr__ = __str__


class WorkerTerminate(SystemExit):
    """Has the worker end at once."""


# -- outcomes of calls -------------------------------------------------------------------------------------------


class RemoteError(ActorqError):
    """An exception of a class that this process has not imported. Names it and carries its message and traceback."""

    def __init__(self, type_name: str, message: str, args: Sequence[object] = ()) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name = type_name
        self.message = message
        self.remote_args = tuple(args)


class TaskRevokedError(TaskError):
    """The call was revoked, or expired before it started."""


class ChordError(TaskError):
    """The body of a chord was not run, as a member of its header failed, was revoked, or expired."""


class WorkerLostError(ActorqError):
    """The worker that ran the call died each time it was delivered, or once where it may run at most once."""


class TimeLimitExceeded(ActorqError):
    """The task ran for longer than its hard time limit and was ended."""


class SoftTimeLimitExceeded(ActorqError):
    """Raised inside a task that ran for longer than its soft time limit."""


class Terminated(TaskRevokedError):
    """The task was ended by ``revoke(terminate=True)``, or by a shutdown that no longer waits."""


class WorkerShutdown(SystemExit):
    """Raised inside a task whose worker ends now: it may save what it has, and its call goes to another worker. Raised by
    a task, it has the worker end once what runs has ended.
    """


class MaxRetriesExceededError(TaskError):
    """The task has asked to be retried once more than it may. `task_args` and `task_kwargs` are those of its call."""

    def __init__(
        self, *args: object, task_args: Sequence[Any] = (), task_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(*args)
        self.task_args = task_args
        self.task_kwargs = dict(task_kwargs or {})


class InvalidTaskError(TaskError):
    """A call that is not made as it has to be."""


class IncompleteStream(TaskError):
    """The end of a stream of results was reached, and some are missing."""


# -- results that are kept ---------------------------------------------------------------------------------------


class BackendError(ActorqError):
    """A result cannot be stored or read."""


class BackendGetMetaError(BackendError):
    """A result cannot be read."""

    def __init__(self, *args: object, task_id: str = "") -> None:
        super().__init__(*args)
        self.task_id = task_id


class BackendStoreError(BackendError):
    """A result cannot be stored."""

    def __init__(self, *args: object, state: str = "", task_id: str = "") -> None:
        super().__init__(*args)
        self.state = state
        self.task_id = task_id


# -- warnings ----------------------------------------------------------------------------------------------------


class ActorqWarning(UserWarning):
    """Base of all warnings."""


class AlwaysEagerIgnored(ActorqWarning):
    """`send_task` sends the call although `task_always_eager` is set: it has no function to run here."""


class DuplicateNodenameWarning(ActorqWarning):
    """Several nodes have the same name."""


class DuplicateTaskNameWarning(ActorqWarning):
    """Two functions were registered under one name; the first one stays."""


class FixupWarning(ActorqWarning):
    """Support for a framework cannot do its work."""


class NotConfigured(ActorqWarning):
    """There is no such module, or file, with settings; the defaults hold."""


class SettingIgnored(ActorqWarning):
    """A setting of Celery's that has nothing to set here."""


class SecurityWarning(ActorqWarning):
    """Something works, and is not safe."""


class ObsoleteWarning(DeprecationWarning):
    """What was used is going to go."""


class PendingObsoleteWarning(PendingDeprecationWarning):
    """What was used is going to be obsolete."""


# -- actors ------------------------------------------------------------------------------------------------------


class ActorStopped(ActorqError):
    """The actor is not running, or stopped before it answered."""


class MailboxFull(ActorqError):
    """The actor's mailbox is at its limit, and its overflow policy is to refuse."""


class UnhandledMessage(ActorqError):
    """An actor got a message of a type that none of its handlers takes."""

    def __init__(self, actor: str, message_type: type, known: Iterable[type]) -> None:
        handled = ", ".join(sorted(kind.__qualname__ for kind in known)) or "nothing"
        name = message_type.__qualname__
        super().__init__(
            f"actor {actor} has no handler for {name} (it handles: {handled}): add a method with @handles({name}), or "
            f"send it to another actor"
        )


class RestartsExhausted(ActorqError):
    """A supervisor gave up: its children ended more often than its intensity allows. The cause is the last failure."""

    def __init__(self, supervisor: str, child: str, intensity: int, period_s: float) -> None:
        super().__init__(
            f"supervisor {supervisor} gives up: its children had to be started again more than {intensity} times in "
            f"{period_s:g} s, the last one was {child}. Look at why it ends; raise intensity only if that is expected"
        )
