"""Settings that exist in Celery and have nothing to set here, and why: by name, and by the beginning of names."""

from __future__ import annotations

from collections.abc import Iterator

_RESULTS = "the coordinator keeps results, and no other backend is needed"
_NO_BROKER = "there is no broker, and no connection to one: the session with the coordinators reconnects by itself"
_PREFETCH = "workers get calls as they have free slots for them, and prefetch none"
_LATE = "a call that has ended is never delivered again, and one whose worker died is, `task_max_deliveries` times"
_KEPT_ERRORS = "failures are kept in any case"
_MEMBERS = "workers and coordinators know each other by their sessions"
_JOURNAL = "the coordinator keeps it, in its journal where it has one"
_KEYS = "keys of CURVE secure the mesh: see `key`, and actorq key new"
_AMQP = "it is a word of AMQP, which is not spoken here"

WHY: dict[str, str] = {
    "result_backend": _RESULTS,
    "result_cache_max": "the client keeps what it waits for",
    "result_persistent": _JOURNAL,
    "result_exchange": _AMQP,
    "result_exchange_type": _AMQP,
    "result_chord_retry_interval": "nothing polls: a chord goes on when its last member has ended",
    "result_chord_join_timeout": "nothing polls: a chord goes on when its last member has ended",
    "result_chord_expires": "results of chords are kept as long as others: see `result_expires`",
    "result_failure_expires": "failures are kept as long as other results: see `result_expires`",
    "task_acks_on_failure": _LATE,
    "task_acks_on_timeout": _LATE,
    "task_acks_on_failure_or_timeout": _LATE,
    "task_reject_on_worker_lost": _LATE,
    "task_retry_on_worker_lost": _LATE,
    "task_store_errors_even_if_ignored": _KEPT_ERRORS,
    "task_queue_max_priority": "every queue has the priorities 0 to 9",
    "task_protocol": "there is one protocol; versions are agreed on in the handshake",
    "task_remote_tracebacks": "exceptions always carry the remote traceback",
    "task_default_delivery_mode": "queues are durable where the coordinator has a data directory",
    "task_default_queue_type": _AMQP,
    "task_create_missing_queue_type": _AMQP,
    "task_create_missing_queue_exchange_type": _AMQP,
    "task_repr_maxlevels": "what logs show is cut at a length",
    "worker_prefetch_multiplier": _PREFETCH,
    "worker_disable_prefetch": _PREFETCH,
    "worker_enable_prefetch_count_reduction": _PREFETCH,
    "worker_eta_task_limit": "calls with an eta wait in the coordinator, not in workers",
    "worker_timer_precision": "calls with an eta wait in the coordinator, not in workers",
    "worker_timer": "calls with an eta wait in the coordinator, not in workers",
    "worker_state_db": "the coordinator remembers revocations, in its journal where it has one",
    "worker_lost_wait": _MEMBERS,
    "worker_proc_alive_timeout": _MEMBERS,
    "worker_enable_soft_shutdown_on_idle": "calls that wait for their time are in the coordinator: there is nothing to save",
    "worker_cancel_long_running_tasks_on_connection_loss": "what runs goes on, and its outcome is told after the reconnect",
    "worker_deduplicate_successful_tasks": "the first outcome of a call is always the one that counts",
    "worker_autoscaler": "there is no autoscaler yet: a worker has as many slots as -c says",
    "worker_agent": "there are no boot steps",
    "worker_consumer": "there are no boot steps",
    "worker_pool_putlocks": "calls are leased to free slots",
    "worker_pool_restarts": "processes that end are replaced",
    "worker_pool_start_method": "every process of a worker is started afresh",
    "worker_detect_quorum_queues": _AMQP,
    "worker_hijack_root_logger": "the worker logs to standard error and leaves handlers of others alone",
    "worker_redirect_stdouts": "what tasks print goes to standard output",
    "worker_redirect_stdouts_level": "what tasks print goes to standard output",
    "worker_log_color": "the log is plain text",
    "beat_scheduler": "the coordinator is the scheduler",
    "beat_schedule_filename": _JOURNAL,
    "beat_sync_every": _JOURNAL,
    "beat_enable_remote_control": "the coordinator is the scheduler, and answers",
}
NOT_YET = frozenset(
    {
        "task_default_exchange_type",
        "task_send_sent_event",
        "worker_enable_remote_control",
        "worker_send_task_events",
        "beat_schedule",
        "beat_cron_starting_deadline",
        "beat_max_loop_interval",
    }
)
"""Settings of ours that nothing follows from yet."""
PREFIXES: dict[str, str] = {
    "broker_": _NO_BROKER,
    "amqp_": _NO_BROKER,
    "event_": _AMQP,
    "control_": _AMQP,
    "security_": _KEYS,
    **{
        f"{backend}_": _RESULTS
        for backend in (
            *("arangodb", "azureblockblob", "cache", "cassandra", "consul", "cosmosdbsql", "couchbase", "couchdb"),
            *("couchbase", "database", "dynamodb", "elasticsearch", "filesystem", "gcs", "ironcache", "mongodb"),
            *("redis", "riak", "s3"),
        )
    },
    "result_backend_": _RESULTS,
}


def why_ignored(name: str) -> str:
    """Why a setting of that name has nothing to set; empty if it is not one of these."""
    return WHY.get(name) or next((why for prefix, why in PREFIXES.items() if name.startswith(prefix)), "")


def ignored_names() -> Iterator[str]:
    """Those that are known by their whole names."""
    yield from WHY
