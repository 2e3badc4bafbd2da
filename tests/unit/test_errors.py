"""The errors that users import: under Celery's names, with Celery's shapes."""

from __future__ import annotations

import builtins
import pickle
from datetime import datetime

import pytest

from actorq import errors, exceptions
from actorq.wire.payload import decode_failure, encode_failure

NAMES = """
    CeleryError ImproperlyConfigured SecurityError OperationalError Ignore Reject Retry TaskError QueueNotFound
    IncompleteStream NotRegistered AlreadyRegistered TimeoutError MaxRetriesExceededError TaskRevokedError
    InvalidTaskError ChordError BackendError BackendGetMetaError BackendStoreError SoftTimeLimitExceeded
    TimeLimitExceeded WorkerLostError Terminated WorkerShutdown WorkerTerminate CeleryWarning AlwaysEagerIgnored
    DuplicateNodenameWarning DuplicateTaskNameWarning FixupWarning NotConfigured SecurityWarning CDeprecationWarning
    CPendingDeprecationWarning CeleryCommandException TaskPredicate RetryTaskError
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_every_name_that_programs_import_from_celery_is_here(name: str) -> None:
    assert issubclass(getattr(exceptions, name), BaseException)
    assert name in exceptions.__all__


def test_exceptions_has_no_errors_of_its_own() -> None:
    for name in exceptions.__all__:
        assert getattr(exceptions, name).__module__ == "actorq.errors"


def test_a_timeout_is_the_builtin_one_too() -> None:
    assert issubclass(exceptions.TimeoutError, builtins.TimeoutError)
    assert issubclass(exceptions.TimeoutError, exceptions.TaskError)


def test_names_that_are_not_known_are_key_errors_that_read_as_sentences() -> None:
    assert isinstance(errors.NotRegistered("add"), KeyError)
    assert str(errors.QueueNotFound("there is no queue 'fsat'")) == "there is no queue 'fsat'"


@pytest.mark.parametrize(
    ("retry", "text"),
    [
        (errors.Retry(exc=ValueError("x"), when=3), "Retry in 3s: ValueError('x')"),
        (errors.Retry(exc="lost", when=3), "Retry in 3s: lost"),
        (errors.Retry(when=datetime(2030, 1, 2)), "Retry at 2030-01-02 00:00:00"),
        (errors.Retry("later, please", when=3), "later, please"),
    ],
)
def test_a_retry_says_when_and_why(retry: errors.Retry, text: str) -> None:
    assert str(retry) == text
    assert str(pickle.loads(pickle.dumps(retry))) == text


def test_a_rejection_says_what_becomes_of_the_call() -> None:
    reject = errors.Reject("no such user", requeue=True)
    assert (reject.reason, reject.requeue) == ("no such user", True)
    assert repr(reject) == "reject requeue=True: no such user"
    assert not errors.Reject().requeue


def test_too_many_retries_name_the_arguments_of_the_call() -> None:
    error = errors.MaxRetriesExceededError("enough", task_args=(1,), task_kwargs={"b": 2})
    assert (error.args, error.task_args, error.task_kwargs) == (("enough",), (1,), {"b": 2})


def test_errors_of_stores_name_the_call() -> None:
    assert errors.BackendGetMetaError("broken", task_id="1").task_id == "1"
    store = errors.BackendStoreError("broken", state="SUCCESS", task_id="1")
    assert (store.state, store.task_id, str(store)) == ("SUCCESS", "1", "broken")


@pytest.mark.parametrize(
    "error",
    [
        errors.Retry(exc="lost", when=3),
        errors.Reject("no", requeue=True),
        errors.MaxRetriesExceededError("enough"),
        errors.ChordError("Dependency 1 raised ValueError('x')"),
        errors.BackendStoreError("broken", state="SUCCESS", task_id="1"),
    ],
)
def test_errors_arrive_as_themselves(error: Exception) -> None:
    arrived = decode_failure(encode_failure(error, ""))
    assert type(arrived) is type(error) and str(arrived) == str(error)


def test_a_command_of_ones_own_ends_with_the_status_that_it_says() -> None:
    from actorq.cli.problems import problem_of

    assert problem_of(exceptions.CeleryCommandException("no disk", exit_code=5)).exit_code == 5
