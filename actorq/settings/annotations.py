"""`task_annotations`: what the settings change of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from actorq.errors import ImproperlyConfigured

EVERY_TASK = "*"


def annotations_of(task: Any, annotations: Any) -> dict[str, Any]:
    """The options that `annotations` give a task; what stands later in a list, or names it, goes first.

    Raises ImproperlyConfigured where they are none.
    """
    options: dict[str, Any] = {}
    for annotation in _listed(annotations):
        options.update(_for_every_task(annotation))
    for annotation in _listed(annotations):
        options.update(_for_task(annotation, task))
    return options


def _listed(annotations: Any) -> list[Any]:
    if annotations is None:
        return []
    return [_found(each) for each in (annotations if isinstance(annotations, (list, tuple)) else [annotations])]


def _found(annotation: Any) -> Any:
    """An annotation that is given by name is made: ``proj.annotations:Limits``, or with a dot before the last part."""
    if not isinstance(annotation, str):
        return annotation
    module, _, attribute = annotation.partition(":") if ":" in annotation else annotation.rpartition(".")
    try:
        made = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ImproperlyConfigured(f"task_annotations names {annotation!r}, which is not there: {error}") from error
    return made() if isinstance(made, type) else made


def _for_every_task(annotation: Any) -> Mapping[str, Any]:
    if isinstance(annotation, Mapping):
        return _options(annotation.get(EVERY_TASK), EVERY_TASK)
    annotate_any = getattr(annotation, "annotate_any", None)
    return _options(annotate_any(), annotation) if annotate_any is not None else {}


def _for_task(annotation: Any, task: Any) -> Mapping[str, Any]:
    if isinstance(annotation, Mapping):
        return _options(annotation.get(task.name), task.name)
    annotate = getattr(annotation, "annotate", None)
    return _options(annotate(task), annotation) if annotate is not None else {}


def _options(given: Any, of: Any) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"task_annotations: {of!r} gives {given!r}, and not a dict of options")
    return given
