"""What a setting is called: its name, the name that Celery has for it, or had for it once; and names that are none."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from actorq.errors import ImproperlyConfigured, nearest
from actorq.settings.ignored import why_ignored
from actorq.settings.table import NAMES

ALIASES = {
    "broker_url": "url",
    "broker": "url",
    "broker_read_url": "url",
    "broker_write_url": "url",
    "backend": "result_backend",
    "celery_max_cached_results": "result_cache_max",
    "celery_task_result_expires": "result_expires",
    "celery_message_compression": "task_compression",
    "celery_eager_propagates_exceptions": "task_eager_propagates",
    "celery_send_task_sent_event": "task_send_sent_event",
    "celeryd_task_soft_time_limit": "task_soft_time_limit",
    "celeryd_task_time_limit": "task_time_limit",
    "celeryd_worker_lost_wait": "worker_lost_wait",
    "celery_send_events": "worker_send_task_events",
    "celery_result_dburi": "database_url",
    "celery_result_engine_options": "database_engine_options",
    "celery_result_db_short_lived_sessions": "database_short_lived_sessions",
    "celery_result_db_tablenames": "database_table_names",
    "broker_connection_timeout": "task_publish_timeout",
}
"""Other names, in lower case. Those that follow a rule are found by it."""
OLD_PREFIXES = (
    ("celerybeat_", ("beat_",)),
    ("celeryd_", ("worker_", "task_")),
    ("celery_", ("", "task_", "worker_", "result_")),
)
"""How names began before they had groups, and how they may begin now."""
GROUPS = ("task_", "worker_", "result_", "broker_", "beat_", "celery_", "celeryd_", "celerybeat_")
"""What begins so is meant as a setting, wherever it stands."""


def canonical(name: str) -> str:
    """The name under which a setting is kept. Raises ImproperlyConfigured, with the nearest known one, if there is none.

    For one of Celery's that has nothing to set here it is a name that `why_ignored` knows.
    """
    found = find(name)
    if found is None:
        hints = (nearest(each, [*NAMES, *ALIASES]) for each in reversed([*_candidates(name.lower())]))
        hint = next(filter(None, hints), "actorq.settings.Settings lists them")
        raise ImproperlyConfigured(f"there is no setting {name!r}: {hint}")
    return found


def find(name: str) -> str | None:
    """As `canonical`; None if there is no such setting."""
    return next((each for each in _candidates(name.lower()) if each in NAMES or why_ignored(each)), None)


def looks_like_one(name: str) -> bool:
    """Whether a name that is none is likely to be meant as one, with a slip: also where anything else may stand."""
    lower = name.lower()
    return lower.startswith(GROUPS) or bool(get_close_matches(lower, NAMES, n=1, cutoff=0.9))


def _candidates(name: str) -> Iterator[str]:
    yield ALIASES.get(name, name)
    for old, new in OLD_PREFIXES:
        if name.startswith(old):
            rest = name[len(old) :]
            for prefix in new:
                yield ALIASES.get(prefix + rest, prefix + rest)
