"""What a task says of each of its calls by its arguments: which limit holds for it, whose turn it is, what it is one of.

The client evaluates it when it submits a call: a coordinator does not look into arguments.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from actorq.errors import ImproperlyConfigured
from actorq.wire.records import UNTIL_START, Extra

KEY_OPTIONS = ("key", "fair_key", "unique", "unique_until", "unique_conflict")
"""Options of a task, or of one call."""
KEY_LENGTH = 200
"""As `actorq.wire.records.Key` says."""
LIKE_ARGS = frozenset({"arg", "args", "arguments"})
"""Slips that would make different calls one."""
Key = str | Callable[..., Any] | None
Encode = Callable[[Sequence[Any], dict[str, Any]], bytes]


def keys_of(task: Any) -> dict[str, Any]:
    """Those of these options that a task, or its class, has for all its calls."""
    found = {name: vars(task).get(name, getattr(type(task), name, None)) for name in KEY_OPTIONS}
    return {name: value for name, value in found.items() if value is not None}


def check_keys_of_task(options: Mapping[str, Any]) -> None:
    """As `check_keys`, for what holds for all calls of a task: a text that is the same for all of them is a slip."""
    for name in ("key", "fair_key", "unique"):
        each = options.get(name)
        if isinstance(each, str) and each != "args" and "{" not in each:
            raise ImproperlyConfigured(
                f"{name}={each!r} would be the same for all calls of the task: write a field in braces, such as "
                f"'{{args[0]}}' or '{{kwargs[user]}}'"
                + (", 'args' for all arguments, or True for one call of the task at a time" if name == "unique" else "")
            )
    check_keys(options)


def check_keys(options: Mapping[str, Any]) -> None:
    """Raise ImproperlyConfigured for what can be no key, or no time or way to be unique."""
    for name in ("key", "fair_key"):
        each = options.get(name)
        if each is not None and not isinstance(each, str) and not callable(each):
            raise ImproperlyConfigured(
                f"{name} is a text such as '{{args[0]}}', or a function of the call's arguments, and not {each!r}"
            )
    unique = options.get("unique")
    if unique not in (None, True, False) and not isinstance(unique, str) and not callable(unique):
        raise ImproperlyConfigured(
            f"unique is True (one call of the task), 'args' (one with the same arguments), a text such as '{{args[0]}}' "
            f"or a function of the arguments, and not {unique!r}"
        )
    if isinstance(unique, str) and unique != "args" and unique.lower() in LIKE_ARGS:
        raise ImproperlyConfigured(
            f"unique={unique!r} would be a key of its own: for all arguments it is unique='args'"
        )
    if (options.get("unique_conflict") or "existing") not in ("existing", "raise"):
        raise ImproperlyConfigured(f"unique_conflict is 'existing' or 'raise', and not {options['unique_conflict']!r}")
    _until_s(options.get("unique_until"), 0.0)


def with_keys(
    extra: Extra | None,
    task: str,
    options: Mapping[str, Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    encode: Encode,
    now_s: float,
) -> Extra | None:
    """`extra` with what the options make of a call's arguments. Raises ImproperlyConfigured."""
    if not any(options.get(name) for name in ("key", "fair_key", "unique")):
        return extra
    check_keys(options)
    changes: dict[str, Any] = {}
    if options.get("key") is not None:
        changes["limit_key"] = _evaluate("key", options["key"], args, kwargs)
    if options.get("fair_key") is not None:
        changes["fair_key"] = _evaluate("fair_key", options["fair_key"], args, kwargs)
    unique = options.get("unique")
    if unique:
        changes["unique"] = _shorten(f"{task} {_unique(unique, args, kwargs, encode)}")
        changes["unique_until_s"] = _until_s(options.get("unique_until"), now_s)
    return msgspec.structs.replace(extra or Extra(), **changes)


def _unique(unique: Any, args: Sequence[Any], kwargs: dict[str, Any], encode: Encode) -> str:
    if unique is True:
        return ""
    if unique == "args":
        return hashlib.sha256(encode(args, dict(sorted(kwargs.items())))).hexdigest()
    return _evaluate("unique", unique, args, kwargs)


def _evaluate(name: str, key: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    if callable(key):
        return _shorten(str(key(*args, **kwargs)))
    try:
        return _shorten(str(key).format(args=args, kwargs=kwargs))
    except (LookupError, AttributeError, ValueError, TypeError) as error:
        raise ImproperlyConfigured(
            f"{name} {key!r} cannot be made of the arguments {tuple(args)!r:.200} and {kwargs!r:.200}: "
            f"{type(error).__name__}: {error}"
        ) from None


def _shorten(key: str) -> str:
    return key if len(key) <= KEY_LENGTH else hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def _until_s(until: Any, now_s: float) -> float:
    """Until when a call holds its unique key, as `Extra.unique_until_s` says it."""
    if until is None or until == "done":
        return 0.0
    if until == "start":
        return UNTIL_START
    if isinstance(until, (int, float)) and not isinstance(until, bool) and until > 0 and math.isfinite(until):
        return now_s + until
    raise ImproperlyConfigured(f"unique_until is 'start', 'done' or a number of seconds, and not {until!r}")
