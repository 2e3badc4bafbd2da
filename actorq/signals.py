"""The signals that clients and workers send: connect a function to hear of what happens.

    from actorq.signals import task_failure

    @task_failure.connect
    def tell(sender, task_id, exception, **others): ...

They have the names and arguments of Celery's. What comes besides is said here. Signals of tasks are sent in the worker,
in the greenlet, and the context, that runs the task: `actorq.app` knows which one that is. They cost nothing as long as
nobody is connected to any of them.
"""

from __future__ import annotations

from actorq.dispatch import Group, Signal

# -- calls are submitted, in the client --------------------------------------------------------------------------

publishing = Group()
"""Asked by clients at each call."""

before_task_publish = Signal(
    "before_task_publish",
    ("body", "exchange", "routing_key", "headers", "properties", "declare", "retry_policy"),
    publishing,
)
"""A call is about to be submitted. sender: the name of its task. body: ``(args, kwargs, {})``. headers: what is known of
the call, under the names of Celery's protocol (id, task, eta, …); what a receiver adds travels with the call, and is
in `request.headers`. routing_key: the queue."""
after_task_publish = Signal("after_task_publish", ("body", "exchange", "routing_key", "headers"), publishing)
"""A call was handed to the session, which sends it. As `before_task_publish`; of the calls of a workflow, which are sent
together, `body` is None, and the headers are id and task."""

# -- calls are run, in the worker --------------------------------------------------------------------------------

running = Group()
"""What is sent around the run of a call: workers decide by it how they run calls."""

task_prerun = Signal("task_prerun", ("task_id", "task", "args", "kwargs"), running)
"""A task is about to run. sender: the task."""
task_postrun = Signal("task_postrun", ("task_id", "task", "args", "kwargs", "retval", "state"), running)
"""A task has run, however that ended. retval: what it returned or raised. state: SUCCESS, FAILURE, RETRY, …"""
task_success = Signal("task_success", ("result", "runtime"), running)
"""A task has returned. sender: the task. runtime: in seconds."""
task_retry = Signal("task_retry", ("request", "reason", "einfo"), running)
"""A task is to be retried. sender: the task. reason: the `Retry`."""
task_failure = Signal("task_failure", ("task_id", "exception", "args", "kwargs", "traceback", "einfo"), running)
"""A task has failed. sender: the task. traceback: the traceback object. einfo: has it as text, in `traceback`."""
task_revoked = Signal("task_revoked", ("request", "terminated", "signum", "expired"), running)
"""A call that came to this worker is revoked: it was ended while it ran (terminated), or expired before it started.
sender: the task. Calls that are revoked while they wait never come to a worker."""
task_internal_error = Signal(
    "task_internal_error",
    ("task_id", "args", "kwargs", "request", "exception", "traceback", "einfo"),
    running,
)
"""The arguments of a call cannot be read, or its result cannot be sent. sender: the task."""
task_unknown = Signal("task_unknown", ("message", "exc", "name", "id"), running)
"""A call came for a task that is not registered here. It happens to workers whose tasks have changed only: calls wait for
workers that offer their task."""
task_rejected = Signal("task_rejected", ("message", "exc"), running)
"""A task has raised `Reject`."""
task_received = Signal("task_received", ("request",))
"""A call came to this worker; it may be given back before it starts. sender: the worker."""

# -- workers start and end ---------------------------------------------------------------------------------------

celeryd_init = Signal("celeryd_init", ("instance", "conf", "options"))
"""A worker's process has imported the application and nothing else. sender: the name of the node. What a receiver sets in
`conf` holds for this worker."""
celeryd_after_setup = Signal("celeryd_after_setup", ("instance", "conf"))
"""All is imported and set up, and nothing connected yet. sender: the name of the node."""
import_modules = Signal("import_modules")
"""The worker imports what `imports` and `include` name. sender: the application."""
worker_init = Signal("worker_init")
"""Before a worker starts. sender: the worker."""
worker_process_init = Signal("worker_process_init")
"""A process that runs tasks starts: the place to open connections. Once per process."""
worker_process_shutdown = Signal("worker_process_shutdown", ("pid", "exitcode"))
"""A process that runs tasks ends: the place to close connections."""
worker_before_create_process = Signal("worker_before_create_process")
"""Never sent: the supervisor, which starts the processes, imports no application, and forks none."""
worker_ready = Signal("worker_ready")
"""A worker is connected, and takes calls. Once per process. sender: the worker."""
worker_shutting_down = Signal("worker_shutting_down", ("sig", "how", "exitcode"))
"""A worker begins to end. sender: the name of the node. sig: the signal's name. how: Warm, or Cold where it does not wait
for what runs."""
worker_shutdown = Signal("worker_shutdown")
"""A worker has ended; nothing runs any more. sender: the worker."""
heartbeat_sent = Signal("heartbeat_sent")
"""A heartbeat was sent. sender: the worker."""

# -- logging -----------------------------------------------------------------------------------------------------

setup_logging = Signal("setup_logging", ("loglevel", "logfile", "format", "colorize"))
"""Whoever is connected sets up the logging: the worker leaves it alone."""
after_setup_logger = Signal("after_setup_logger", ("logger", "loglevel", "logfile", "format", "colorize"))
"""The worker has set up the root logger: the place to add handlers."""
after_setup_task_logger = Signal("after_setup_task_logger", ("logger", "loglevel", "logfile", "format", "colorize"))
"""The worker has set up the logger of tasks."""

# -- periodic tasks ----------------------------------------------------------------------------------------------

beat_init = Signal("beat_init")
"""The scheduler of periodic tasks starts."""
beat_embedded_init = Signal("beat_embedded_init")
"""It starts within a worker."""
