"""Tasks whose arguments and results are pydantic models. Needs ``pip install actorq[pydantic]``.

What travels is what the models dump to: dicts of what JSON knows. Workers validate the arguments against the function's
annotations, so that it gets models; what it returns is dumped.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_type_hints

from actorq.errors import ImproperlyConfigured
from actorq.tasks.prepared import Arguments

if TYPE_CHECKING:
    from actorq.tasks.task import Task


def with_models(task: Task[Any, Any], fn: Callable[..., Any]) -> tuple[Callable[..., Any], Arguments]:
    """`fn` as a worker is to run it, and what is done to arguments before they are sent."""
    try:
        from pydantic import BaseModel, TypeAdapter
    except ImportError:
        raise ImproperlyConfigured(
            f"task {task.name!r} has the option pydantic: pip install 'actorq[pydantic]', or leave the option out"
        ) from None
    dump_kwargs = {"mode": "json", **(task.pydantic_dump_kwargs or {})}
    signature, hints = inspect.signature(fn), get_type_hints(getattr(fn, "func", fn))
    adapters = {
        name: TypeAdapter(hints[name]) for name in signature.parameters if name in hints and _has_model(hints[name])
    }

    def dump(value: Any) -> Any:
        return value.model_dump(**dump_kwargs) if isinstance(value, BaseModel) else value

    def dumped(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        return [dump(value) for value in args], {name: dump(value) for name, value in kwargs.items()}

    def validated(args: Sequence[Any], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if name in adapters:
                bound.arguments[name] = adapters[name].validate_python(
                    value, strict=task.pydantic_strict, context=task.pydantic_context
                )
        return bound

    @functools.wraps(fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        bound = validated(args, kwargs)
        return dump(fn(*bound.args, **bound.kwargs))

    @functools.wraps(fn)
    async def run_coroutine(*args: Any, **kwargs: Any) -> Any:
        bound = validated(args, kwargs)
        return dump(await fn(*bound.args, **bound.kwargs))

    return (run_coroutine if inspect.iscoroutinefunction(fn) else run), dumped


def _has_model(hint: Any) -> bool:
    """Whether the annotation is a model, or has one in it, as ``list[Model]`` and ``Model | None`` do."""
    from typing import get_args

    from pydantic import BaseModel

    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return True
    return any(_has_model(each) for each in get_args(hint))
