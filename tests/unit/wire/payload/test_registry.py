"""Serializers are looked up by name, and payloads are opened only if their content is accepted."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from actorq.errors import ContentDisallowed, DecodeError, EncodeError, ImproperlyConfigured
from actorq.wire.payload import DEFAULT_SERIALIZER, Serializers


def reverse(value: object) -> bytes:
    return repr(value).encode()[::-1]


def unreverse(data: bytes | memoryview) -> Any:
    return eval(bytes(data)[::-1])


@pytest.mark.parametrize("name", ["msgpack", "json", "yaml", "pickle", "cloudpickle"])
def test_every_serializer_carries_values_and_calls(name: str) -> None:
    serializers = Serializers.default(accept_content=[name])
    assert serializers.loads(name, serializers.dumps(name, {"a": [1]})) == {"a": [1]}
    assert serializers.decode_call(name, serializers.encode_call(name, (1,), {"b": 2})) == ([1], {"b": 2})
    assert serializers.get(name).name == name
    assert name in serializers and name in list(serializers)


def test_msgpack_is_the_default() -> None:
    assert DEFAULT_SERIALIZER == "msgpack"


def test_cloudpickle_is_encoded_everywhere_but_opened_only_where_it_is_listed() -> None:
    body = Serializers.default().encode_call("cloudpickle", (lambda: 7,), {})

    with pytest.raises(ContentDisallowed, match="'cloudpickle' is not accepted here"):
        Serializers.default().decode_call("cloudpickle", body)

    (args, _) = Serializers.default(["cloudpickle"]).decode_call("cloudpickle", body)
    assert args[0]() == 7


@pytest.mark.parametrize("name", ["yaml", "pickle", "cloudpickle"])
def test_what_is_not_plain_is_opened_only_where_it_is_listed(name: str) -> None:
    body = Serializers().dumps(name, 1)
    with pytest.raises(ContentDisallowed, match=f"'{name}' is not accepted here"):
        Serializers().loads(name, body)
    assert Serializers([name]).loads(name, body) == 1


def test_a_pickle_has_functions_by_name() -> None:
    serializers = Serializers(["pickle"])
    assert serializers.loads("pickle", serializers.dumps("pickle", reverse)) is reverse
    with pytest.raises(EncodeError, match=r"cannot serialize value.* as pickle"):
        serializers.dumps("pickle", lambda: 1)


@pytest.mark.parametrize(
    ("content_type", "name"),
    [
        ("application/json", "json"),
        ("application/x-msgpack", "msgpack"),
        ("application/x-yaml", "yaml"),
        ("application/x-python-serialize", "pickle"),
        ("application/x-reverse", "reverse"),
    ],
)
def test_a_content_type_is_another_name(content_type: str, name: str) -> None:
    serializers = Serializers([content_type])
    serializers.register("reverse", reverse, unreverse, "application/x-reverse")
    assert serializers.accept_content == {name}
    assert serializers.get(content_type).name == name and content_type in serializers
    assert serializers.loads(content_type, serializers.dumps(name, 1)) == 1
    assert serializers.loads(name, serializers.dumps(content_type, 1)) == 1


def test_a_serializer_may_make_text_as_those_of_kombu_do() -> None:
    given: list[object] = []

    def decode(text: str) -> str:
        given.append(text)
        return text

    serializers = Serializers(["text"])
    serializers.register("text", str, decode, "text/plain", "utf-8")
    assert serializers.dumps("text", "grün") == "grün".encode()
    assert serializers.loads("text", memoryview("grün".encode())) == "grün"
    assert given == ["grün"]


def test_a_name_with_a_plus_is_refused_because_it_joins_names() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"has no \+"):
        Serializers().register("image/svg+xml", reverse, unreverse)


def test_without_its_library_yaml_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'actorq\[yaml\]'"):
        Serializers().get("yaml")
    with pytest.raises(DecodeError, match=r"pip install 'actorq\[yaml\]'"):
        Serializers(["yaml"]).loads("yaml", b"1")


def test_what_is_not_accepted_is_refused_before_it_is_opened() -> None:
    opened: list[object] = []
    serializers = Serializers.default()
    serializers.register("spy", reverse, opened.append)
    for open_payload in (serializers.loads, serializers.decode_call, lambda name, _: serializers.opener(name)):
        with pytest.raises(ContentDisallowed):
            open_payload("spy", b"")
    assert not opened


def test_accept_content_narrows_the_defaults_too() -> None:
    serializers = Serializers.default(accept_content=["json"])
    assert serializers.accept_content == {"json"}
    with pytest.raises(ContentDisallowed):
        serializers.loads("msgpack", serializers.dumps("msgpack", 1))


def test_a_serializer_of_ones_own_works_like_the_others() -> None:
    serializers = Serializers.default(accept_content=["reverse"])
    serializers.register("reverse", reverse, unreverse)
    assert serializers.decode_call("reverse", serializers.encode_call("reverse", (1, "a"), {"b": 2})) == (
        [1, "a"],
        {"b": 2},
    )


def test_two_applications_do_not_share_what_they_register() -> None:
    Serializers.default().register("reverse", reverse, unreverse)
    assert "reverse" not in Serializers.default()


def test_what_a_serializer_of_ones_own_raises_becomes_an_error_that_callers_know() -> None:
    def fail(_: object) -> Any:
        raise KeyError("broken")

    serializers = Serializers.default(accept_content=["broken"])
    serializers.register("broken", fail, fail)
    with pytest.raises(EncodeError, match=r"cannot serialize args\[0\] as broken: .*KeyError: 'broken'"):
        serializers.encode_call("broken", (1,), {})
    with pytest.raises(DecodeError, match="not a broken payload: KeyError: 'broken'"):
        serializers.loads("broken", b"")


def test_an_unknown_name_is_answered_with_the_nearest_known_one() -> None:
    with pytest.raises(ImproperlyConfigured, match="did you mean 'msgpack'"):
        Serializers.default().get("msgpak")
    with pytest.raises(ImproperlyConfigured, match="did you mean 'cloudpickle'"):
        Serializers.default().dumps("cloudpikle", 1)
    with pytest.raises(ImproperlyConfigured, match=r"register\(\)"):
        Serializers.default().encode_call("zzz", (), {})


def test_an_accepted_name_without_a_serializer_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match=r"register\(\) on every node"):
        Serializers.default(accept_content=["toml"]).loads("toml", b"a = 1")


@pytest.mark.parametrize("data", [b"", b"not a pickle", b"\x80\x05", b"\x80\xff."])
def test_a_broken_pickle_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError, match="not a cloudpickle payload"):
        Serializers.default(["cloudpickle"]).loads("cloudpickle", data)
