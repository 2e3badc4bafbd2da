"""What the tests of the worker share: an application of plain functions, and calls of them."""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from actorq.config import BLOB_BYTES
from actorq.settings import Conf
from actorq.wire.frames import body_of, bytes_of
from actorq.wire.payload import DEFAULT_SERIALIZER, Serializers, code_blob, decode_failure, encode_call
from actorq.wire.records import SUCCESS, Call, CallSpec, Outcome
from actorq.worker.jobs import Job, Jobs
from tests.support import REPOSITORY

SCRIPT_S = 60.0
new_id = map("call-{}".format, itertools.count(1)).__next__
OPENERS = Serializers.default(["msgpack", "json", "cloudpickle"])


@dataclass
class PlainTask:
    """A registered task."""

    fn: Callable[..., Any]
    bind: bool = False
    throws: tuple[type[BaseException], ...] = ()
    track_started: bool = True
    resultrepr_maxsize: int = 1024
    trace: Any = None
    app: Any = None

    @property
    def run(self) -> Callable[..., Any]:
        return self.entry

    @property
    def entry(self) -> Callable[..., Any]:
        return functools.partial(self.fn, self) if self.bind else self.fn


@dataclass
class PlainApplication:
    """An application, as far as a worker knows it."""

    tasks: Mapping[str, PlainTask]
    serializers: Serializers = field(default_factory=Serializers.default)
    conf: Conf = field(default_factory=Conf)


def jobs_of(*functions: Callable[..., Any], accept: tuple[str, ...] = ("msgpack", "json"), **tasks: PlainTask) -> Jobs:
    """The jobs of an application with these functions as its tasks, by their names."""
    registered = {fn.__name__: PlainTask(fn) for fn in functions}
    return Jobs(PlainApplication({**registered, **tasks}, Serializers.default(accept)))


def job_of(fn: Callable[..., Any], **options: Any) -> Job:
    """A job, ready to run, whose spec has these options."""
    job = jobs_of(fn).make(CallSpec(fn.__name__, **options), None)
    job.resolve()
    return job


def job_by_value(fn: Callable[..., Any], accept: tuple[str, ...] = ("msgpack", "json"), **options: Any) -> Job:
    """A job whose function travels by value."""
    digest, blob = code_blob(fn)
    job = jobs_of(accept=accept).make(CallSpec("by_value", code=digest, **options), blob)
    job.resolve()
    return job


def call_of(*args: Any, expires: float = 0.0, attempt: int = 1, **kwargs: Any) -> Call:
    """A call with these arguments, and a new id."""
    body = encode_call(args, kwargs)
    return Call(new_id(), 1, body_of(body) if len(body) >= BLOB_BYTES else body, expires=expires, attempt=attempt)


def value_of(outcome: Outcome) -> Any:
    """What a successful call returned, as its client gets it."""
    assert outcome.state == SUCCESS, error_of(outcome)
    body = bytes_of(outcome.body)
    return OPENERS.loads(outcome.content or DEFAULT_SERIALIZER, body) if len(body) else None


def error_of(outcome: Outcome) -> Exception:
    """The exception of a call that did not succeed."""
    assert isinstance(outcome.body, bytes)
    return decode_failure(outcome.body)


def run_patched(script: str) -> str:
    """Run a script in a process that is monkey-patched as a worker's is. Returns what it prints; it must not fail."""
    program = "from actorq.worker.patching import patch_all\npatch_all()\n" + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=SCRIPT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
