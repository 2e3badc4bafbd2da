"""Exceptions across the wire, as data.

A failure is a msgpack array: ``[module, qualname, message, args, fields, traceback, members]``. Each of the arguments
and fields is msgpack of its own inside, so one that cannot be read costs nothing but itself. Nothing is ever imported,
and no code of a user's class runs when it is rebuilt: names that arrive are looked up among the classes that are there
already. (Celery made its exceptions by importing and calling what a message named: CVE-2021-23727.)
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from types import MemberDescriptorType, ModuleType
from typing import Any

from actorq.errors import DecodeError, RemoteError
from actorq.wire.payload import msgpack_codec
from actorq.wire.payload.tracebacks import (
    DICT_OF_EXCEPTION,
    HEADING,
    MAX_TRACEBACK_CHARS,
    attach_traceback,
    bounded,
)

MAX_MESSAGE_CHARS = 16 * 1024
MAX_VALUE_BYTES = 64 * 1024
"""Of one argument or field. A larger argument travels as the head and tail of its text, a larger field not at all."""
MAX_VALUES = 64
"""Arguments, fields and members of a group; those beyond are left out."""
MAX_FAILURE_BYTES = 1024 * 1024
"""A failure that would be larger travels with its message and traceback only."""
MAX_DEPTH = 8
"""Levels of groups in groups."""

GROUP: Any = getattr(builtins, "BaseExceptionGroup", ())
"""Nothing is a group in Python 3.10."""

# The real attribute, whatever a class or module defines under that name.
ARGS_OF_EXCEPTION = BaseException.__dict__["args"].__get__
DICT_OF_MODULE: Callable[[ModuleType], dict[str, Any]] = vars(ModuleType)["__dict__"].__get__
DICT_OF_TYPE = type.__dict__["__dict__"].__get__
QUALNAME_OF_TYPE = type.__dict__["__qualname__"].__get__

# -- to the wire --------------------------------------------------------------------------------------------------


def encode_failure(exc: BaseException, traceback_text: str) -> bytes:
    """`exc` as bytes, always msgpack. Never fails, whatever the exception's own methods do.

    Carried are the names of its class, its message, its arguments (the repr of those that msgpack cannot carry), those
    of its attributes that msgpack can carry, its notes, the members of a group, and the text of the traceback. A cause
    is in that text only.
    """
    data = msgpack_codec.dumps(record_of(exc, traceback_text, MAX_DEPTH))
    if len(data) > MAX_FAILURE_BYTES:
        module, qualname, message, *_ = record = record_of(exc, traceback_text, 0)
        data = msgpack_codec.dumps([module, qualname, message, [portable_argument(message)], {}, record[5], []])
    return data


def record_of(exc: BaseException, traceback_text: str, depth: int) -> list[Any]:
    cls = type(exc)
    members = members_of(exc) if depth else ()
    return [
        module_of(cls),
        clean(QUALNAME_OF_TYPE(cls)),
        clean(bounded(text_of(exc, str), MAX_MESSAGE_CHARS)),
        [portable_argument(argument) for argument in arguments_of(exc)[:MAX_VALUES]],
        dict(islice(portable_fields(exc), MAX_VALUES)),
        clean(bounded(traceback_text, MAX_TRACEBACK_CHARS)),
        [record_of(member, "", depth - 1) for member in members[:MAX_VALUES]],
    ]


def module_of(cls: type) -> str:
    module = DICT_OF_TYPE(cls).get("__module__", "builtins")
    return clean(module) if type(module) is str else "?"


def arguments_of(exc: BaseException) -> tuple[Any, ...]:
    """What the builtin base of its class takes to make the same exception again."""
    if issubclass(type(exc), OSError):
        return tuple(OSError.__reduce__(exc)[1])  # Its `args` lack the file names.
    args: tuple[Any, ...] = ARGS_OF_EXCEPTION(exc)
    return args[:1] if members_of(exc) else args


def members_of(exc: BaseException) -> tuple[BaseException, ...]:
    if issubclass(type(exc), GROUP):
        members: tuple[BaseException, ...] = GROUP.__dict__["exceptions"].__get__(exc)
        return members
    return ()


def portable_argument(value: object) -> bytes:
    data = portable(value)
    if data is not None:
        return data
    text = value if type(value) is str else text_of(value, repr)
    return msgpack_codec.dumps(clean(bounded(text, MAX_MESSAGE_CHARS)))


def portable_fields(exc: BaseException) -> Iterator[tuple[str, bytes]]:
    """The attributes that can be carried: those in `__dict__`, and those in slots."""
    for name, value in fields_of(exc):
        data = portable(value)
        if data is not None:
            yield clean(name), data


def fields_of(exc: BaseException) -> Iterator[tuple[str, object]]:
    for name, slot in slots_of(type(exc)).items():
        try:
            yield name, slot.__get__(exc)
        except AttributeError:  # Never set.
            pass
    for name, value in list(DICT_OF_EXCEPTION(exc).items()):
        if name == "__notes__" and type(value) is list:
            # The note that shows a remote traceback is made again where the exception arrives.
            yield name, [note for note in value if type(note) is str and not note.startswith(HEADING)]
        elif type(name) is str and not is_dunder(name):
            yield name, value


def portable(value: object) -> bytes | None:
    """`value` as msgpack, or None if it cannot be carried or is too large."""
    try:
        if sys.getsizeof(value) > 2 * MAX_VALUE_BYTES:  # Do not copy a gigabyte to find out.
            return None
        data = msgpack_codec.pack(value)
    except Exception:
        return None
    return data if len(data) <= MAX_VALUE_BYTES else None


def text_of(value: object, show: Callable[[object], str]) -> str:
    """``show(value)``, also where that fails."""
    try:
        return str.__str__(show(value))
    except Exception as error:
        return f"<{QUALNAME_OF_TYPE(type(value))}, whose text cannot be had: {type(error).__name__}>"


def clean(text: str) -> str:
    """`text` without what UTF-8 cannot say: lone surrogates, as in file names that could not be decoded."""
    return text.encode("utf-8", "backslashreplace").decode()


# -- from the wire ------------------------------------------------------------------------------------------------


def decode_failure(data: bytes | memoryview) -> Exception:
    """The exception in `data`, with its remote traceback attached. Raises DecodeError if it is not a failure.

    Of the same class if this process has it already: in an imported module, under the same name. Else, and for what
    would stop or confuse its receiver if it were raised (SystemExit, KeyboardInterrupt, GreenletExit and all that is no
    `Exception`; StopIteration), a RemoteError that names the class.
    """
    return rebuild(msgpack_codec.loads(data), MAX_DEPTH)


def rebuild(record: Any, depth: int) -> Exception:
    module, qualname, message, args, fields, traceback_text, members = checked(record)
    values = [value_of(data, "<cannot be decoded>") for data in args]
    built_from = values
    if members and depth:
        built_from = [*values, [rebuild(member, depth - 1) for member in members]]
    cls = find_class(module, qualname)
    exc = construct(cls, built_from) if cls is not None else None
    if exc is None:
        exc = RemoteError(qualname if module == "builtins" else f"{module}.{qualname}", message, values)
    else:
        restore_fields(exc, fields)
    attach_traceback(exc, traceback_text)
    return exc


def describe_failure(data: bytes | memoryview | Any) -> str:
    """What a failure says, as in ``ValueError('7 is odd')``, without making anything of it."""
    try:
        _, qualname, _, args, *_ = checked(msgpack_codec.loads(getattr(data, "view", data)))
    except DecodeError as error:
        return f"<{error}>"
    return f"{qualname}({', '.join(repr(value_of(each, '…')) for each in args)})"


def checked(record: Any) -> tuple[str, str, str, list[Any], dict[Any, Any], str, list[Any]]:
    if type(record) is list and [type(part) for part in record] == [str, str, str, list, dict, str, list]:
        module, qualname, message, args, fields, traceback_text, members = record
        return module, qualname, message, args, fields, traceback_text, members
    raise DecodeError("not a failure: these are [module, qualname, message, args, fields, traceback, members]")


def value_of(data: Any, otherwise: object) -> Any:
    try:
        return msgpack_codec.loads(data)
    except DecodeError:
        return otherwise


def find_class(module: str, qualname: str) -> type[Exception] | None:
    """The class of that name if it is here and safe to raise. Looks, and neither imports nor calls anything."""
    holder = sys.modules.get(module)
    if not isinstance(holder, ModuleType):
        return None
    # Not `getattr`: it would run the `__getattr__` of a module that loads its parts lazily.
    names = DICT_OF_MODULE(holder)
    found: object = None
    for part in qualname.split("."):
        found = names.get(part)
        if not isinstance(found, type):
            return None
        names = DICT_OF_TYPE(found)
    if not isinstance(found, type) or not issubclass(found, Exception):
        return None
    return None if issubclass(found, (StopIteration, StopAsyncIteration)) else found


def construct(cls: type[Exception], args: list[Any]) -> Exception | None:
    """An exception of `cls` made by the builtin class it derives from, or None if that does not take `args`.

    The class's own `__new__` and `__init__` are not called: they may take other arguments than `args`, and do anything.
    """
    names = DICT_OF_MODULE(builtins)
    bases: list[Any] = [base for base in cls.__mro__ if names.get(base.__name__) is base]
    # Of several, only one makes objects of the right layout: that with fields of its own.
    maker = max(bases, key=lambda base: base.__basicsize__)
    try:
        exc: Exception = maker.__new__(cls, *args)
        bases[0].__init__(exc, *args)
    except Exception:
        return None
    return exc if is_sound(exc) else None


def is_sound(exc: Exception) -> bool:
    """False for positions outside of the text of a UnicodeError: Python up to 3.12 reads there when it prints one."""
    for base in (UnicodeDecodeError, UnicodeEncodeError, UnicodeTranslateError):
        if issubclass(type(exc), base):
            start, end, text = (vars(base)[field].__get__(exc) for field in ("start", "end", "object"))
            return bool(0 <= start < end <= len(text))
    return True


def restore_fields(exc: Exception, fields: dict[Any, Any]) -> None:
    slots = slots_of(type(exc))
    nothing = object()
    for name, data in fields.items():
        value = value_of(data, nothing)
        if value is nothing or type(name) is not str:
            continue
        if name in slots:
            try:
                slots[name].__set__(exc, value)
            except Exception:  # Read-only, or of another type in this version of the class.
                pass
        elif not is_dunder(name) or (name == "__notes__" and is_texts(value)):
            DICT_OF_EXCEPTION(exc)[name] = value


def is_texts(value: object) -> bool:
    return type(value) is list and all(type(item) is str for item in value)


# -- both ---------------------------------------------------------------------------------------------------------


def slots_of(cls: type) -> dict[str, MemberDescriptorType]:
    """The fields that `__slots__` keep outside of `__dict__`, and those of builtin classes that `args` do not set."""
    return {
        name: member
        for base in cls.__mro__[::-1]
        for name, member in DICT_OF_TYPE(base).items()
        if type(member) is MemberDescriptorType
        and not is_dunder(name)
        and (module_of(base) != "builtins" or name in ("name", "path", "name_from"))
    }


def is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
