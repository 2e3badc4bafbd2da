"""What the settings say of a worker node where its options say nothing."""

from __future__ import annotations

import functools
from dataclasses import replace

from actorq.config import WorkerSettings
from actorq.errors import ImproperlyConfigured
from actorq.policies.addresses import parse_url
from actorq.settings import Conf, Settings
from actorq.settings.sources import read_source
from actorq.worker.options import WorkerOptions

EARLY = ("worker_processes", "worker_pool", "worker_soft_shutdown_timeout", "worker_log_level")
"""Settings that the supervisor goes by, which imports no application."""


def chosen(options: WorkerOptions, settings: Settings) -> WorkerOptions:
    """The options with nothing left open. Raises ImproperlyConfigured."""
    return replace(
        options,
        addresses=options.addresses or addresses_in(settings.url),
        queues=options.queues or settings.worker_queues,
        max_calls=options.max_calls or settings.worker_max_tasks_per_child or 0,
        max_rss_bytes=options.max_rss_bytes or (settings.worker_max_memory_per_child or 0) * 1024,  # That is in KiB.
        concurrency=options.concurrency or settings.worker_concurrency or WorkerSettings().concurrency,
        by_value=settings.worker_by_value if options.by_value is None else options.by_value,
        key=settings.key if options.key is None else options.key,
        insecure=options.insecure or settings.insecure,
    )


def addresses_in(url: str) -> tuple[str, ...]:
    """Where the coordinators are. Raises ImproperlyConfigured for a mesh that no worker can join."""
    mesh = parse_url(url)
    if mesh.is_local:
        raise ImproperlyConfigured(f"{url} is a mesh inside one program: a worker needs a coordinator's address (-u)")
    return mesh.addresses


def early_settings(config: str) -> Settings:
    """What is known before an application is imported: from the environment, and from the file, if it is one."""
    conf = Conf()
    if config.endswith(".toml"):
        conf.add_source(functools.partial(read_source, config))
    return conf.settings


def too_late(settings: Settings, early: Settings) -> list[str]:
    """Settings that the application has, and that the supervisor did not know of."""
    return [name for name in EARLY if getattr(settings, name) != getattr(early, name)]
