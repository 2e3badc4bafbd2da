"""A worker node as a process: ``python -m actorq.worker.main OPTIONS``, with `WorkerOptions` as JSON."""

from __future__ import annotations

if __name__ == "__main__":  # Before anything else is imported, so that nothing holds on to what is not patched.
    import sys

    from actorq.worker.patching import patch_process

    patch_process(sys.argv)

import atexit
import gc
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from actorq import log, native
from actorq.config import INSECURE_VARIABLE, KEY_VARIABLE, VERSION, WorkerSettings
from actorq.errors import ActorqError, BadKey
from actorq.policies.addresses import check_connecting
from actorq.transport import LinkKeys
from actorq.worker.application import find_application
from actorq.worker.dump import dump_threads_at_signal
from actorq.worker.jobs import Application
from actorq.worker.node import Node
from actorq.worker.options import EXIT_CONFIG, WorkerOptions, expand_name


def run(options: WorkerOptions) -> int:
    """Run a node until it is told to end. Returns its exit status."""
    name = expand_name(options.name, os.getpid())
    log.configure(options.loglevel, name)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    dump_threads_at_signal()
    try:
        check_connecting(options.addresses, bool(options.key), options.insecure)
        keys = _keys_in(options.key) if options.key else None
        if options.key:
            os.environ[KEY_VARIABLE] = options.key  # Of applications that come here by value, too.
        if options.insecure:
            os.environ[INSECURE_VARIABLE] = "1"
        application: Any = find_application(options.app)
        for module in options.include:
            import_module(module)
        if hasattr(application, "import_tasks"):
            application.import_tasks()
    except BadKey as error:  # It was all right when the worker was started, and may be so again.
        sys.stderr.write(f"actorq worker: {error}\n")
        return 1
    except ActorqError as error:
        return _refuse(str(error))
    except (Exception, SystemExit):
        import traceback

        return _refuse(f"the application cannot be imported:\n{traceback.format_exc()}")
    if hasattr(application, "url"):
        application.url = ",".join(options.addresses)  # What its tasks call goes to this mesh.
        application.key, application.insecure = options.key, options.insecure
        application.is_worker = True
        application.set_default()
    settings = WorkerSettings(
        concurrency=options.concurrency,
        max_calls=options.max_calls,
        max_rss_bytes=options.max_rss_bytes,
        loopback_only=not (keys or options.insecure),
    )
    if options.pulse_fd is not None:
        os.set_inheritable(options.pulse_fd, False)
    node = Node(
        name,
        os.getpid(),
        application,
        options.addresses,
        options.queues,
        settings,
        options.drain_s,
        options.by_value,
        options.pulse_fd,
        keys,
        options.pool,
    )
    if options.parent_fd is not None:
        node.stop_with_parent(options.parent_fd)
    if options.banner:
        sys.stderr.write(banner(name, options, application))
    _tune_memory()
    node.run()
    return _refuse(node.error) if node.error else node.status


def _keys_in(path: str) -> LinkKeys:
    from actorq.keys import load_cluster_key, node_keys  # Most workers do without, and what it loads for cryptography.

    return node_keys(load_cluster_key(path, "a worker"))


def banner(name: str, options: WorkerOptions, application: Application) -> str:
    """What a node says first, as users of Celery know it."""
    by_value = " and functions by value" if options.by_value else ""
    tasks = "".join(f"\n  . {task}" for task in sorted(application.tasks))
    return (
        f"actorq {VERSION} worker {name}\n"
        f"  app:         {options.app or 'none'}\n"
        f"  mesh:        {', '.join(options.addresses)}\n"
        f"  concurrency: {options.concurrency} ({options.pool})\n"
        f"  queues:      {', '.join(options.queues)}\n"
        f"[tasks]{tasks or ' none'}{by_value}\n"
    )


def _refuse(reason: str) -> int:
    sys.stderr.write(f"actorq worker: {reason}\n")
    return EXIT_CONFIG


def _tune_memory() -> None:
    """Modules and what they made at import stay: leave them out of every collection.

    Then collect more rarely: calls and outcomes are records that the collector does not look at (`gc=False`), so that
    only tasks make what it is for. The default of 700 objects would stop the node some hundred times a second.
    """
    native.keep_freed_memory()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def main(arguments: Sequence[str]) -> int:
    """The entry point."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m actorq.worker.main OPTIONS (for people: actorq worker --help)\n")
        return 2
    return run(WorkerOptions.from_json(arguments[0]))


def run_process() -> None:
    """`main`, and the end of the process, in which nothing runs any more of what tasks have left behind."""
    try:
        status = main(sys.argv[1:])
    except BaseException:  # Also what a greenlet of a task's has raised: SystemExit, for one.
        logging.getLogger("actorq.worker").exception("the node failed; its calls are delivered again")
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    run_process()
