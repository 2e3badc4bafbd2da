"""Options of tasks that are decided outside of their definition: for all tasks, for some, or by an object that looks.

Annotations are a dict of options by the name of a task (``"*"``: of all), an object with a method ``annotate(name)`` that
returns such options or None, or a list of these, of which the later ones count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from actorq.errors import ImproperlyConfigured


def annotated(annotations: Any, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a task, with what the annotations say. Raises ImproperlyConfigured for what is no annotation."""
    changed = dict(options)
    for found in _options_for(annotations, name):
        changed.update(found)
    return changed


def _options_for(annotations: Any, name: str) -> Iterator[Mapping[str, Any]]:
    if annotations is None:
        return
    if isinstance(annotations, (list, tuple)):
        for each in annotations:
            yield from _options_for(each, name)
    elif isinstance(annotations, Mapping):
        yield annotations.get("*") or {}
        yield annotations.get(name) or {}
    elif hasattr(annotations, "annotate"):
        yield annotations.annotate(name) or {}
    else:
        raise ImproperlyConfigured(
            f"annotations are a dict of options by the name of a task, an object with annotate(name), or a list of "
            f"these, and not {annotations!r}"
        )
