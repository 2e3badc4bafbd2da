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
from dataclasses import replace
from importlib import import_module
from typing import Any

import msgspec

from actorq import native, signals
from actorq.config import INSECURE_VARIABLE, KEY_VARIABLE, MESH_VARIABLE, VERSION, WorkerSettings
from actorq.context import while_importing
from actorq.errors import ActorqError, BadKey
from actorq.policies.addresses import check_connecting
from actorq.policies.queues import Queues
from actorq.transport import LinkKeys
from actorq.wire.declarations import Declaration
from actorq.worker.application import find_application, find_embedded
from actorq.worker.choices import chosen, early_settings, too_late
from actorq.worker.dump import dump_main_thread_at_signal
from actorq.worker.jobs import Application
from actorq.worker.life import Life
from actorq.worker.node import Node
from actorq.worker.options import EXIT_CONFIG, WorkerOptions, expand_name

logger = logging.getLogger("actorq.worker")


def run(options: WorkerOptions) -> int:
    """Run a node until it is told to end. Returns its exit status."""
    name = expand_name(options.name, os.getpid())
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    dump_main_thread_at_signal()
    try:
        with while_importing(options.app.partition(":")[0]):
            application: Any = (find_application if options.program is None else find_embedded)(options.app)
        if options.program is not None:
            application.conf.update(options.program["settings"])
        if options.config:
            application.config_from_object(options.config)
        life = Life(name, application, options)
        life.begin()
        settings = application.conf.settings
        life.set_up_logging(options.loglevel, settings)
        for setting in too_late(settings, early_settings(options.config)) if options.program is None else ():
            logger.warning(
                "the setting %s does not hold: it is read before the application is imported, so say it in the "
                "environment, on the command line, or in a TOML file with --config",
                setting,
            )
        options = life.options = chosen(options, settings)
        check_connecting(options.addresses, bool(options.key), options.insecure)
        keys = _keys_in(options.key) if options.key else None
        if options.key:
            os.environ[KEY_VARIABLE] = options.key  # Of applications that come here by value, too.
        if options.insecure:
            os.environ[INSECURE_VARIABLE] = "1"
        _become_worker(application, options)
        _import_tasks(application, options.include, options.program is not None)
        if options.program is None:
            known = application.amqp.queues
            queues = select_queues(known, options.queues, options.exclude_queues)
            declared = known.declarations()
        else:
            queues, declared = list(options.queues), options.program["declares"]
        declares = msgspec.convert(declared, list[Declaration])
        options = life.options = replace(options, queues=tuple(queues))
        life.set_up()
    except BadKey as error:  # It was all right when the worker was started, and may be so again.
        sys.stderr.write(f"actorq worker: {error}\n")
        return 1
    except ActorqError as error:
        return _refuse(str(error))
    except (Exception, SystemExit):
        import traceback

        return _refuse(f"the application cannot be imported:\n{traceback.format_exc()}")
    assert options.concurrency is not None
    bounds = WorkerSettings(
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
        queues,
        bounds,
        options.drain_s,
        bool(options.by_value),
        options.pulse_fd,
        keys,
        declares,
        life,
        options.pool,
    )
    if options.parent_fd is not None:
        node.stop_with_parent(options.parent_fd)
    if options.banner:
        sys.stderr.write(banner(name, options, application))
    _tune_memory()
    node.run()
    status = _refuse(node.error) if node.error else node.status
    life.ended(status)
    return status


def _become_worker(application: Any, options: WorkerOptions) -> None:
    """What tasks of the application call goes to this mesh."""
    if options.program is None:
        application.conf.update(url=options.addresses, key=options.key, insecure=options.insecure)
    os.environ[MESH_VARIABLE] = f"{os.getpid()} {','.join(options.addresses)}"
    if hasattr(application, "set_default"):
        application.is_worker = options.program is None
        application.set_default()


def _import_tasks(application: Any, include: Sequence[str], is_embedded: bool) -> None:
    """Import all modules that are named, and say that this is all."""
    conf = application.conf
    signals.import_modules.send(application)
    for module in dict.fromkeys((*conf.imports, *conf.include, *include)):
        try:
            with while_importing(module):
                import_module(module)
        except (Exception, SystemExit):
            if not is_embedded:
                raise
            logger.warning("%s cannot be imported at the start; calls that need it say why", module, exc_info=True)
    if hasattr(application, "import_tasks"):
        application.import_tasks()
    if hasattr(application, "finalize"):
        application.finalize()
    if is_embedded:
        application.offered = frozenset(application.tasks)


def _keys_in(path: str) -> LinkKeys:
    from actorq.keys import load_cluster_key, node_keys  # Most workers do without, and what it loads for cryptography.

    return node_keys(load_cluster_key(path, "a worker"))


def select_queues(queues: Queues, named: Sequence[str], excluded: Sequence[str]) -> list[str]:
    """The queues that the node takes calls of: those that are named, or all that the application has, but for some.

    Raises QueueNotFound.
    """
    if named:
        queues.select(named)
    queues.deselect(excluded)
    return list(queues.consume_from)


def banner(name: str, options: WorkerOptions, application: Application) -> str:
    """What a node says first, as users of Celery know it."""
    offers = [f". {task}" for task in sorted(application.tasks)]
    if options.by_value:
        offers.append("and functions by value" if offers else "functions by value")
    listed = "".join(f"\n  {each}" for each in offers)
    return (
        f"actorq {VERSION} worker {name}\n"
        f"  app:         {options.app or 'none'}\n"
        f"  mesh:        {', '.join(options.addresses)}\n"
        f"  concurrency: {options.concurrency} ({options.pool})\n"
        f"  queues:      {', '.join(options.queues)}\n"
        f"[tasks]{listed or ' none'}\n"
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
