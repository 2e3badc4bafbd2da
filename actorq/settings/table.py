"""The table of settings: every name, with what it means, its unit and its default.

Names are Celery's where the meaning is. Where the default is another one, it is because Celery's is what its users
change first, or run into: the comment says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from actorq.config import DEFAULT_ADDRESS, DEFAULT_PRIORITY, DEFAULT_QUEUE
from actorq.errors import ImproperlyConfigured
from actorq.settings.convert import (
    Annotations,
    Anything,
    Converter,
    Count,
    Flag,
    Level,
    Names,
    Path,
    Policy,
    Pool,
    Priority,
    Rate,
    Seconds,
    Table,
    Text,
    Url,
    Zone,
)

DAY_S = 86_400.0


@dataclass(slots=True)
class Settings:
    """The settings of one application, as they are in force. Times are in seconds. None given for any of them means that
    nothing is said: the default holds.
    """

    # -- the mesh ------------------------------------------------------------------------------------------------

    url: Url = DEFAULT_ADDRESS
    """Coordinators (``tcp://host:5570,tcp://other:5570``), or ``local://`` for a mesh inside the program. Also as
    `broker_url`."""
    key: Path = ""
    """Path of the key file, the cluster's or a client's; empty: none."""
    insecure: Flag = False
    """Talk to coordinators on other hosts without a key as well."""

    # -- payloads ------------------------------------------------------------------------------------------------

    accept_content: Names = ("msgpack", "json", "cloudpickle")
    """Serializers whose payloads are opened here. Opening a pickle runs it: a mesh whose clients are not all trusted
    leaves cloudpickle out. (Celery: json only.)"""
    result_accept_content: Names | None = None
    """The same for results; None: as `accept_content`."""
    task_serializer: Text | None = None
    """How arguments are sent. None: msgpack, or the first of `accept_content` if that leaves msgpack out."""
    result_serializer: Text | None = None
    """How results are sent; None: as the arguments of the call were."""
    task_compression: Text | None = None
    """How arguments are compressed: gzip, bzip2, …"""
    result_compression: Text | None = None
    """How results are compressed."""

    # -- time ----------------------------------------------------------------------------------------------------

    timezone: Zone | None = None
    """What datetimes without a zone mean. None: UTC, or local time if `enable_utc` is False."""
    enable_utc: Flag = True
    """Whether it is UTC where `timezone` is not set."""

    # -- tasks ---------------------------------------------------------------------------------------------------

    imports: Names = ()
    """Modules that a worker imports, for the tasks in them."""
    include: Names = ()
    """More of them."""
    task_annotations: Annotations = None
    """What to change of tasks without touching their code: ``{"proj.add": {"time_limit": 5}, "*": {…}}``, an object with
    ``annotate(task)`` or ``annotate_any()`` that returns such a dict of options, or a list of these."""
    task_acks_late: Flag = True
    """Whether a call is delivered again when its worker dies. False: at most once. (Celery: False, which loses work.)"""
    task_max_deliveries: Count = 3
    """How often a call is delivered, if each time its worker dies, before it fails."""
    task_track_started: Flag = True
    """Whether a running call has the state STARTED. (Celery: False.)"""
    task_ignore_result: Flag = False
    """Whether results are dropped. Failures are not."""
    task_time_limit: Seconds | None = None
    """A task that runs for longer is ended. Of the caller; where that says none, of the worker."""
    task_soft_time_limit: Seconds | None = None
    """A task that runs for longer gets SoftTimeLimitExceeded. As `task_time_limit`."""
    task_default_rate_limit: Rate = None
    """Starts of each task that says none, on all workers together: a number per second, or ``"10/s"``, ``"10/m"``,
    ``"10/h"``."""
    task_default_priority: Priority = DEFAULT_PRIORITY
    """Of calls that say none: 0 to 9, higher first."""
    task_inherit_parent_priority: Flag = False
    """Whether what a task calls has its priority."""
    task_allow_error_cb_on_chord_header: Flag = False
    """Whether the errbacks of a chord also go to the members of its header, when they are linked: then they run once for
    each that fails, and for the body."""

    # -- routing -------------------------------------------------------------------------------------------------

    task_default_queue: Text = DEFAULT_QUEUE
    """Where calls go that say nothing else. (Celery: "celery".)"""
    task_queues: Anything = None
    """The queues: a list of queues, or of names; or a dict of options by name. A worker without -Q serves all of them."""
    task_routes: Anything = None
    """Where calls go: a dict of options by pattern (``{"feeds.*": {"queue": "feeds"}}``), a list of pairs of these, a
    function ``route(name, args, kwargs, options, task=None, **kw)``, or a list of any of them."""
    task_create_missing_queues: Flag = True
    """Whether a call may go to a queue that `task_queues` does not name."""
    task_default_exchange: Text | None = None
    """The exchange of queues that say none; None: of the queue's own name."""
    task_default_exchange_type: Text = "direct"
    """The kind of exchanges that say none: direct, topic or fanout."""
    task_default_routing_key: Text | None = None
    """The routing key of calls that say none; None: the queue's name."""

    # -- submitting ----------------------------------------------------------------------------------------------

    task_publish_timeout: Seconds | None = None
    """How long a call may wait for room or for a coordinator before OperationalError; None: as the policy says, if there
    is one, else 5 s."""
    task_publish_retry: Flag = True
    """Whether it waits at all."""
    task_publish_retry_policy: Policy | None = None
    """Celery's four keys: max_retries, interval_start, interval_step, interval_max. What counts is the time that they come
    to: the session reconnects by itself."""
    task_send_sent_event: Flag = False
    """Whether an event says that a call was submitted."""

    # -- tests ---------------------------------------------------------------------------------------------------

    task_always_eager: Flag = False
    """Whether calls run at once, in the caller."""
    task_eager_propagates: Flag = False
    """Whether such a call raises what its task raises, instead of its result."""
    task_store_eager_result: Flag = False
    """Whether results of such calls are kept in the mesh."""

    # -- results -------------------------------------------------------------------------------------------------

    result_expires: Seconds | None = DAY_S
    """How long results are kept. In force where the coordinator is part of the program (``local://``); others are told
    when they are started."""
    result_extended: Flag = False
    """Whether it stays known of which call a result is: task, arguments, queue, retries, and what the call has submitted."""

    # -- workers -------------------------------------------------------------------------------------------------

    worker_concurrency: Count | None = None
    """Calls that run at once in each process; None: 100."""
    worker_processes: Count | None = None
    """Processes of a worker; None: 1. Read before the application is imported: from a file or the environment."""
    worker_queues: Names = ()
    """Queues that a worker serves; empty: those of `task_queues`, and the default one."""
    worker_pool: Pool = "gevent"
    """What runs calls: gevent (green threads), threads, solo, processes. Read before the application is imported, as
    `worker_processes`. (Celery: prefork.)"""
    worker_max_tasks_per_child: Count | None = None
    """A process is replaced after so many calls."""
    worker_max_memory_per_child: Count | None = None
    """A process is replaced when it has more memory than this, in KiB."""
    worker_soft_shutdown_timeout: Seconds | None = None
    """How long running calls may go on when a worker is told to end; None: 25 s. Read before the application is imported:
    from a file or the environment. (Celery: for ever.)"""
    worker_by_value: Flag = True
    """Whether functions that come by value are run."""
    worker_direct: Flag = False
    """Whether each worker also serves a queue of its own, ``NAME.dq``."""
    worker_disable_rate_limits: Flag = False
    """Whether calls are sent without the rate limits of their tasks: a coordinator keeps to what a call says."""
    worker_enable_remote_control: Flag = True
    """Whether workers carry out control commands."""
    worker_send_task_events: Flag = False
    """Whether workers send events about calls."""
    worker_log_level: Level = "WARNING"
    """What is logged. Read before the application is imported, as `worker_processes`."""
    worker_log_format: Text | None = None
    """The format of log lines, as `logging.Formatter` takes it; None: Celery's, with the node's name."""
    worker_task_log_format: Text | None = None
    """The same for loggers of tasks."""

    # -- periodic tasks ------------------------------------------------------------------------------------------

    beat_schedule: Table = field(default_factory=dict)
    """Periodic tasks by name: ``{"task", "schedule", "args", "kwargs", "options"}``."""
    beat_cron_starting_deadline: Seconds | None = None
    """Runs that were missed by more than this are left out."""
    beat_max_loop_interval: Seconds = 0.0
    """The longest pause of the scheduler; 0: it decides."""


NAMES: tuple[str, ...] = tuple(each.name for each in fields(Settings))


@cache
def converters() -> dict[str, Converter]:
    """For each setting what converts its values."""
    hints = get_type_hints(Settings, include_extras=True)
    return {name: _converter(hints[name]) for name in NAMES}


def converted(name: str, value: Any, where: str) -> Any:
    """`value` as the setting `name` is kept. Raises ImproperlyConfigured, which names both and says `where` it was given."""
    if value is None:
        return getattr(Settings(), name)
    try:
        return converters()[name](value)
    except ImproperlyConfigured as error:
        raise type(error)(f"setting {name} ({where}): {error}") from None
    except ValueError as error:
        raise ImproperlyConfigured(f"setting {name} ({where}): {error}") from None


def _converter(hint: Any) -> Converter:
    if get_origin(hint) in (Union, UnionType):
        return _converter(get_args(hint)[0])
    convert: Converter = hint.__metadata__[0]
    return convert
