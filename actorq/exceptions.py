"""Errors and warnings under the names that programs written for Celery import.

    from actorq.exceptions import MaxRetriesExceededError, Retry, SoftTimeLimitExceeded

They live in `actorq.errors`; here are no others. `TimeoutError` is the built-in one, too, and those for which Celery has
a name of its own (`CeleryError`, `CeleryWarning`, …) are ours: who catches the one has caught the other.
"""

from __future__ import annotations

from actorq.errors import (
    ActorqError,
    ActorqWarning,
    AlreadyRegistered,
    AlwaysEagerIgnored,
    BackendError,
    BackendGetMetaError,
    BackendStoreError,
    ChordError,
    CommandError,
    ContentDisallowed,
    DecodeError,
    DuplicateNodenameWarning,
    DuplicateTaskNameWarning,
    EncodeError,
    FixupWarning,
    Ignore,
    ImproperlyConfigured,
    IncompleteStream,
    InvalidTaskError,
    MaxRetriesExceededError,
    NotConfigured,
    NotRegistered,
    ObsoleteWarning,
    OperationalError,
    PendingObsoleteWarning,
    QueueNotFound,
    Reject,
    Retry,
    SecurityError,
    SecurityWarning,
    SettingIgnored,
    SoftTimeLimitExceeded,
    TaskError,
    TaskPredicate,
    TaskRevokedError,
    Terminated,
    TimeLimitExceeded,
    TimeoutError,
    WorkerLostError,
    WorkerShutdown,
    WorkerTerminate,
)

CeleryError = ActorqError
CeleryWarning = ActorqWarning
CeleryCommandException = CommandError
CDeprecationWarning = ObsoleteWarning
CPendingDeprecationWarning = PendingObsoleteWarning
RetryTaskError = Retry
SystemTerminate = WorkerTerminate

__all__ = [
    "ActorqError",
    "ActorqWarning",
    "AlreadyRegistered",
    "AlwaysEagerIgnored",
    "BackendError",
    "BackendGetMetaError",
    "BackendStoreError",
    "CDeprecationWarning",
    "CPendingDeprecationWarning",
    "CeleryCommandException",
    "CeleryError",
    "CeleryWarning",
    "ChordError",
    "CommandError",
    "ContentDisallowed",
    "DecodeError",
    "DuplicateNodenameWarning",
    "DuplicateTaskNameWarning",
    "EncodeError",
    "FixupWarning",
    "Ignore",
    "ImproperlyConfigured",
    "IncompleteStream",
    "InvalidTaskError",
    "MaxRetriesExceededError",
    "NotConfigured",
    "NotRegistered",
    "ObsoleteWarning",
    "OperationalError",
    "PendingObsoleteWarning",
    "QueueNotFound",
    "Reject",
    "Retry",
    "RetryTaskError",
    "SecurityError",
    "SecurityWarning",
    "SettingIgnored",
    "SoftTimeLimitExceeded",
    "SystemTerminate",
    "TaskError",
    "TaskPredicate",
    "TaskRevokedError",
    "Terminated",
    "TimeLimitExceeded",
    "TimeoutError",
    "WorkerLostError",
    "WorkerShutdown",
    "WorkerTerminate",
]
