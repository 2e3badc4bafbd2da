"""Why a value cannot be serialized: where in it the culprit is, what that is, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from types import FunctionType, MethodType, ModuleType

from actorq.errors import EncodeError

DEEPEST = 64
"""Levels to go down. Each encodes what is below it again, so a very deep value must not be followed to its end."""

HINTS = {
    "__fspath__": "Pass str(path)",
    "__dataclass_fields__": "Pass dataclasses.asdict() of it",
    "__attrs_attrs__": "Pass attrs.asdict() of it",
    "__struct_fields__": "Pass msgspec.to_builtins() of it",
    "model_dump": "Pass its .model_dump()",
    "__next__": "Pass list() of it",
}
"""What to do with a value, by an attribute of its type; so nothing has to be imported to know it."""

Named = tuple[str, object]
Encode = Callable[[object], object]


class Refused(Exception):
    """Raised by an encoder that does not take `value`; `part` is its place below the value that was to be encoded."""

    def __init__(self, value: object, hint: str = "", part: str = "", why: str = "") -> None:
        super().__init__(f"it is a {kind_of(value)}" + (f" ({why})" if why else ""))
        self.hint = hint or hint_for(value)
        self.part = part


def refusal(content: str, roots: Iterable[Named], encode: Encode, cause: Exception) -> EncodeError:
    """The EncodeError for values that `encode` did not take, with `cause`. `roots` are the values and their names."""
    attributes = content in (
        "pickle",
        "cloudpickle",
    )  # These go through an object to its attributes; others refuse the object.
    path, error = "the value", cause
    try:
        path, error = culprit(roots, encode, attributes, cause)
    except Exception:  # A value that cannot even be walked through, say because its __iter__ fails.
        pass
    refused = error if isinstance(error, Refused) else Refused(None)
    advice = refused.hint if attributes else f'{refused.hint}, or choose serializer="cloudpickle"'
    where = shortened(path, 160) + refused.part
    return EncodeError(f"cannot serialize {where} as {content}: {error_text(error)}. {advice}")


def arguments(args: Sequence[object], kwargs: dict[str, object]) -> Iterator[Named]:
    """The arguments of a call with their names, for `refusal`."""
    yield from members("args", list(args), False)
    yield from members("kwargs", kwargs, False)


def culprit(candidates: Iterable[Named], encode: Encode, attributes: bool, cause: Exception) -> tuple[str, Exception]:
    """The path of the innermost value that `encode` does not take, and why."""
    path, error = "the value", cause
    above: set[int] = set()
    for _ in range(DEEPEST):
        found = first_failing(candidates, encode)
        if found is None:
            return path, error
        path, value, error = found
        if id(value) in above:
            return path, Refused(value, "Pass a tree", why="which contains itself")
        if not isinstance(error, Refused):
            error = Refused(value, hint_for(None), why=error_text(error))
        above.add(id(value))
        candidates = members(path, value, attributes)
    return path, error


def first_failing(candidates: Iterable[Named], encode: Encode) -> tuple[str, object, Exception] | None:
    for path, value in candidates:
        try:
            encode(value)
        except Exception as error:
            return path, value, error
    return None


def members(path: str, value: object, attributes: bool) -> Iterator[Named]:
    """What `value` holds, with paths as Python would write them."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}.key({label(key)})", key
            yield f"{path}[{label(key)}]", item
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item
    elif isinstance(value, (set, frozenset)):
        for item in value:
            yield f"{path}.item({label(item)})", item
    elif attributes and isinstance(value, FunctionType):
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            yield f"{path}.<closure>.{name}", cell.cell_contents
        for name in value.__code__.co_names:
            if name in value.__globals__:
                yield f"{path}.<global>.{name}", value.__globals__[name]
    elif attributes and not isinstance(value, (type, ModuleType)):
        for name, item in getattr(value, "__dict__", {}).items():
            yield f"{path}.{name}", item


def hint_for(value: object) -> str:
    """What to pass instead of `value`."""
    if isinstance(value, (type, FunctionType, MethodType)):
        return "Pass its name"
    if isinstance(value, Enum):
        return "Pass its .value or .name"
    for attribute, hint in HINTS.items():
        if hasattr(type(value), attribute):
            return hint
    return "Pass what it can be made from there (an id, a path, a dict)"


def error_text(error: Exception) -> str:
    """What an error says, shortened; never fails."""
    if isinstance(error, Refused):
        return str(error)
    try:
        text = shortened(str(error).strip().rstrip("."), 300)
    except Exception:
        text = "its text cannot be had"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def kind_of(value: object) -> str:
    """The full name of the type of `value`."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def label(key: object) -> str:
    """A key for a path: as it is written where that is short and safe to ask for, else its type."""
    if type(key) in (str, bytes, int, float, bool):
        return shortened(repr(key), 40)
    return f"<{kind_of(key)}>"


def shortened(text: str, limit_chars: int) -> str:
    """`text` with its middle left out where it is longer than the limit."""
    if len(text) <= limit_chars:
        return text
    half = max(limit_chars // 2 - 2, 1)
    return f"{text[:half]} … {text[-half:]}"
