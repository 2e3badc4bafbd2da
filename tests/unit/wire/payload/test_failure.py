"""Exceptions cross the wire as data: the class comes back where it is known, and nothing is imported or run for it."""

from __future__ import annotations

import builtins
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

from actorq import errors
from actorq.errors import DecodeError, RemoteError
from actorq.wire.payload import decode_failure, dumps, encode_failure, loads, msgpack_codec, remote_traceback
from actorq.wire.payload.failure import MAX_DEPTH, MAX_FAILURE_BYTES


def over_the_wire(exc: BaseException, traceback_text: str = "") -> Exception:
    return decode_failure(encode_failure(exc, traceback_text))


class OutOfStock(Exception):
    """Takes other arguments than it hands to its base, as many exceptions do."""

    calls = 0

    def __init__(self, *, item: str, wanted: int) -> None:
        type(self).calls += 1
        super().__init__(f"{wanted} of {item} wanted")
        self.item = item
        self.wanted = (wanted, 0)


class Slotted(OutOfStock):
    __slots__ = ("place",)
    place: object


class Shop:
    class Closed(Exception):
        pass


class FileTroubles(OSError):
    def __init__(self, only_argument: str) -> None:
        super().__init__(2, "gone", only_argument)


class TwoBases(errors.ActorqError, KeyError):
    pass


class LayoutOfTheSecond(ValueError, OSError):
    pass


# -- the same class, where it is known -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("no"),
        ValueError(),
        KeyError(("a", 1)),
        TypeError("a", 2, None, b"x"),
        ZeroDivisionError("division by zero"),
        OSError("only text"),
        FileNotFoundError(2, "No such file or directory", "a.txt"),
        PermissionError(13, "x", "a", None, "b"),
        ConnectionResetError(104, "reset"),
        TimeoutError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        SyntaxError("bad", ("f.py", 1, 2, "x y")),
        ImportError("no module", name="m", path="p"),
        ModuleNotFoundError("no module", name="m"),
        NameError("no name", name="n"),
        AssertionError(["a", {"b": (1,)}]),
        json.JSONDecodeError("bad", "{", 1),
        errors.SoftTimeLimitExceeded("3 s"),
        errors.NotRegistered("tasks.ad", ["tasks.add"]),
        errors.CallRefused("id-1", "full"),
        errors.TimeoutError("late"),
        RemoteError("app.Oops", "text", (1, [2])),
        OutOfStock(item="tea", wanted=3),
        Shop.Closed("today"),
        FileTroubles("a.txt"),
        TwoBases("key"),
        LayoutOfTheSecond(1, "x"),
    ],
    ids=repr,
)
def test_an_exception_of_a_known_class_comes_back_as_itself(exc: Exception) -> None:
    back = over_the_wire(exc)
    assert type(back) is type(exc)
    assert str(back) == str(exc)
    assert back.args == exc.args
    assert vars(back) == vars(exc)
    for field in ("errno", "strerror", "filename", "filename2", "name", "path", "start", "lineno", "doc"):
        assert getattr(back, field, None) == getattr(exc, field, None)


def test_no_code_of_the_class_runs() -> None:
    exc = OutOfStock(item="tea", wanted=3)
    calls = OutOfStock.calls
    assert isinstance(over_the_wire(exc), OutOfStock)
    assert OutOfStock.calls == calls


def test_what_slots_hold_comes_back() -> None:
    exc = Slotted(item="tea", wanted=3)
    exc.place = ("shelf", 4)
    back = over_the_wire(exc)
    assert isinstance(back, Slotted) and back.place == ("shelf", 4) and back.item == "tea"
    assert not hasattr(over_the_wire(Slotted(item="tea", wanted=3)), "place")


def test_an_exception_of_a_script_is_found_in_main(monkeypatch: pytest.MonkeyPatch) -> None:
    oops = type("Oops", (Exception,), {"__module__": "__main__"})
    data = encode_failure(oops("x"), "")
    assert isinstance(decode_failure(data), RemoteError)
    monkeypatch.setattr(sys.modules["__main__"], "Oops", oops, raising=False)
    assert type(decode_failure(data)) is oops


def test_a_group_comes_back_with_its_members() -> None:
    group = getattr(builtins, "ExceptionGroup", None)
    if group is None:
        pytest.skip("Python 3.10 has no exception groups")
    exc = group("several", [ValueError("a"), group("inner", [OutOfStock(item="tea", wanted=1)])])
    back: Any = over_the_wire(exc, "remote text")
    assert type(back) is group and back.message == "several"
    assert [type(member) for member in back.exceptions] == [ValueError, group]
    assert str(back.exceptions[1].exceptions[0]) == "1 of tea wanted"
    assert remote_traceback(back) == "remote text"


def test_notes_come_back() -> None:
    exc = with_attributes(ValueError("x"), __notes__=["while counting"])
    assert vars(over_the_wire(exc)) == {"__notes__": ["while counting"]}


# -- RemoteError, where it is not ------------------------------------------------------------------------------


class Loader(types.ModuleType):
    """A module that would run code for whoever asks it for an attribute."""

    def __getattr__(self, name: str) -> Any:
        pytest.fail(f"asked for {name}")


def local_class() -> type[Exception]:
    class Hidden(Exception):
        pass

    return Hidden


def test_an_unknown_class_becomes_a_remote_error_that_names_it() -> None:
    data = dumps(["shop.errors", "OutOfStock", "3 of tea wanted", [dumps("tea"), dumps(3)], {}, "remote text", []])
    back = decode_failure(data)
    assert type(back) is RemoteError
    assert str(back) == "shop.errors.OutOfStock: 3 of tea wanted"
    assert (back.type_name, back.message, back.remote_args) == ("shop.errors.OutOfStock", "3 of tea wanted", ("tea", 3))
    assert remote_traceback(back) == "remote text"
    assert "shop.errors" not in sys.modules


@pytest.mark.parametrize(
    ("module", "qualname"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "dict"),
        ("builtins", "ValueError.__init__"),
        ("builtins", ""),
        ("", ""),
        ("lazy_module", "Error"),
        ("xml.dom.minidom", "Node"),
        ("tests.unit.wire.payload.test_failure", "local_class.<locals>.Hidden"),
    ],
)
def test_only_exception_classes_that_are_here_are_made(
    monkeypatch: pytest.MonkeyPatch, module: str, qualname: str
) -> None:
    monkeypatch.setitem(sys.modules, "lazy_module", Loader("lazy_module"))
    monkeypatch.delitem(sys.modules, "xml.dom.minidom", raising=False)
    assert type(decode_failure(dumps([module, qualname, "text", [], {}, "", []]))) is RemoteError
    assert "xml.dom.minidom" not in sys.modules


@pytest.mark.parametrize(
    "exc",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        gevent.GreenletExit(),
        gevent.Timeout(1),
        StopIteration(5),
        StopAsyncIteration(),
        type("Quit", (SystemExit,), {})(1),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_what_would_stop_or_confuse_the_client_comes_back_as_a_remote_error(exc: BaseException) -> None:
    back = over_the_wire(exc)
    assert type(back) is RemoteError
    assert type(exc).__name__ in back.type_name


def test_a_builtin_that_does_not_take_its_arguments_is_a_remote_error() -> None:
    for args in ([], [dumps("utf-8")], [dumps(part) for part in ("utf-8", b"x", -(2**40), 2**40, "far away")]):
        back = decode_failure(dumps(["builtins", "UnicodeDecodeError", "text", args, {}, "", []]))
        assert type(back) is RemoteError and back.type_name == "UnicodeDecodeError"


# -- it never fails --------------------------------------------------------------------------------------------


class Hostile(Exception):
    """Everything that can be overridden fails."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def _fail(self, *_: object) -> Any:
        raise RuntimeError("no")

    args = property(_fail)
    __dict__ = property(_fail)
    __class__ = property(_fail)
    __reduce__ = _fail
    __getattribute__ = _fail


class BadNames(Exception):
    pass


BadNames.__module__ = 5  # type: ignore[assignment]
BadNames.__qualname__ = "Bad\ud800Names"


class NotText(Exception):
    def __str__(self) -> Any:
        return 5


class Meta(type):
    @property
    def __module__(cls) -> Any:  # type: ignore[override]
        raise RuntimeError("no module")


class OfMeta(Exception, metaclass=Meta):
    pass


class Unrepresentable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def recursive_cause() -> Exception:
    exc = ValueError("a")
    exc.__cause__ = exc
    exc.args = (exc,)
    exc.me = exc  # type: ignore[attr-defined]
    return exc


def with_attributes(exc: Exception, **attributes: object) -> Exception:
    exc.__dict__.update(attributes)
    return exc


NASTY: list[Callable[[], BaseException]] = [
    lambda: ValueError(object(), lambda: 1, Unrepresentable()),
    lambda: Hostile("a"),
    lambda: BadNames("lone surrogate \udcff"),
    lambda: NotText("a"),
    lambda: OfMeta("a"),
    recursive_cause,
    lambda: ValueError("x" * 5_000_000),
    lambda: ValueError(*["x" * 60_000] * 1000),
    lambda: ValueError(["x" * 60_000] * 1000),
    lambda: with_attributes(ValueError("a"), **{f"field{n}": "x" * 60_000 for n in range(1000)}),
    lambda: with_attributes(ValueError("a"), **{"\udcff": 1, "__notes__": 5, "__class__": 1}),
    lambda: with_attributes(OSError(2, "x", object()), errno=None),
    lambda: OSError(*range(10)),
    lambda: UnicodeDecodeError.__new__(UnicodeDecodeError),
    lambda: Slotted.__new__(Slotted),
    lambda: errors.NotRegistered.__new__(errors.NotRegistered),
]


@pytest.mark.parametrize("make", NASTY)
def test_any_exception_can_be_encoded_and_decoded_within_the_limit(make: Callable[[], BaseException]) -> None:
    data = encode_failure(make(), "text \ud800 " * 100_000)
    assert len(data) <= MAX_FAILURE_BYTES
    back = decode_failure(data)
    assert isinstance(back, Exception)
    text = remote_traceback(back)
    assert text is not None and text.startswith("text ") and "characters left out" in text


def test_an_argument_that_cannot_be_carried_arrives_as_its_repr() -> None:
    path = Path("a")
    assert over_the_wire(ValueError("in", path, Unrepresentable())).args == (
        "in",
        repr(path),
        "<Unrepresentable, whose text cannot be had: RuntimeError>",
    )


def test_an_attribute_that_cannot_be_carried_is_left_out() -> None:
    back = over_the_wire(with_attributes(ValueError("a"), good=[1], bad=object()))
    assert vars(back) == {"good": [1]}


def test_a_huge_message_keeps_its_head_and_its_tail() -> None:
    text = str(over_the_wire(ValueError("head" + "x" * 1_000_000 + "tail")))
    assert text.startswith("headx") and text.endswith("xtail") and len(text) < 70_000


def test_a_failure_over_the_limit_keeps_class_message_and_traceback() -> None:
    back = over_the_wire(with_attributes(ValueError("text", *["x" * 60_000] * 60), field=1), "remote text")
    assert type(back) is ValueError
    assert "text" in str(back) and not hasattr(back, "field")
    assert remote_traceback(back) == "remote text"


def test_groups_in_groups_without_end_are_cut_off() -> None:
    group = getattr(builtins, "ExceptionGroup", None)
    if group is None:
        pytest.skip("Python 3.10 has no exception groups")
    exc: Exception = ValueError("innermost")
    for _ in range(3000):
        exc = group("outer", [exc])
    assert levels_of_groups(over_the_wire(exc)) == MAX_DEPTH


def levels_of_groups(exc: Any) -> int:
    levels = 0
    while not isinstance(exc, RemoteError):
        levels += 1
        (exc,) = exc.exceptions
    return levels


def test_a_value_that_is_too_large_is_not_copied_to_find_out(monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[object] = []
    pack = msgpack_codec.pack

    def recorded(value: object) -> bytes:
        packed.append(value)
        return pack(value)

    monkeypatch.setattr(msgpack_codec, "pack", recorded)
    huge = b"x" * 1_000_000
    assert b"x" * 100_000 not in encode_failure(with_attributes(ValueError(huge), small=1, huge=huge), "")
    assert 1 in packed and huge not in packed


# -- hostile and broken bytes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        dumps(None),
        dumps([]),
        dumps([1, "a", "b", [], {}, "", []]),
        dumps(["a", "b", "c", (), {}, "", []]),
    ],
)
def test_bytes_that_are_no_failure_are_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_failure(data)


def test_a_field_never_replaces_what_python_keeps_in_an_exception() -> None:
    fields: dict[Any, Any] = {
        "__class__": dumps("x"),
        "__traceback__": dumps("x"),
        "__actorq_traceback__": dumps(5),
        "__notes__": dumps("not a list"),
        "__suppress_context__": dumps(5),
        5: dumps("x"),
        "broken": b"\xc1",
        "not bytes": 7,
        "fine": dumps(1),
    }
    back = decode_failure(dumps(["builtins", "ValueError", "", [b"\xc1", 5], fields, "", []]))
    assert type(back) is ValueError
    assert back.args == ("<cannot be decoded>", "<cannot be decoded>")
    assert vars(back) == {"fine": 1}
    assert remote_traceback(back) is None


def test_members_deeper_than_a_sender_makes_them_are_not_followed() -> None:
    record: list[Any] = ["builtins", "ValueError", "", [], {}, "", []]
    for _ in range(300):
        record = ["builtins", "ExceptionGroup", "", [dumps("g")], {}, "", [record]]
    exc = decode_failure(dumps(record))
    if hasattr(builtins, "ExceptionGroup"):
        assert levels_of_groups(exc) == MAX_DEPTH


def test_the_form_is_plain_msgpack_for_other_languages() -> None:
    record = loads(encode_failure(KeyError("a"), "text"))
    assert record == ["builtins", "KeyError", "'a'", [dumps("a")], {}, "text", []]
