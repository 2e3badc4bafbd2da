"""`docs/protocol.md` says what `actorq.wire` does: every message, field, type, default and direction."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from actorq.wire import frames, messages
from actorq.wire.declarations import Declaration
from actorq.wire.records import (
    Call,
    CallSpec,
    Extra,
    Inputs,
    Member,
    Node,
    Note,
    Outcome,
    Part,
    Plan,
    PlanInProgress,
    Replacement,
)
from tests.support import REPOSITORY

TEXT = (REPOSITORY / "docs" / "protocol.md").read_text()

DIRECTIONS = {
    "client → coordinator": frames.FROM_CLIENT,
    "work → coordinator": frames.FROM_WORKER,
    "control → coordinator": frames.FROM_CONTROL,
    "coordinator → client": frames.TO_CLIENT,
    "coordinator → work": frames.TO_WORKER,
    "coordinator → control": frames.TO_CONTROL,
    "peer → coordinator": frames.FROM_COORDINATOR,
    "coordinator → peer": frames.TO_COORDINATOR,
    "work → reply socket": frames.TO_REPLY_SOCKET,
}
RECORDS = [
    CallSpec, Call, Extra, Inputs, Part, Outcome,
    Plan, Node, Replacement, PlanInProgress, Note, Declaration,
    Member,
]  # fmt: skip
MESSAGES = messages.Message.__subclasses__()


def rows(section: str) -> list[list[str]]:
    """The cells of the table in a section, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def section(title: str) -> str:
    """What stands under a heading of the third level, up to the next heading."""
    found = re.search(rf"^### {re.escape(title)}\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"docs/protocol.md has no section '### {title}'"
    return found[1]


def fields_in_doc(name: str) -> list[list[str]]:
    return [row[:3] for row in rows(section(name))]


def wire_type(kind: inspect.Type) -> str:
    """The notation of section 2 for a field's type."""
    if isinstance(kind, inspect.StrType):
        return "str" if kind.max_length is None else f"str≤{kind.max_length}"
    if isinstance(kind, inspect.IntType):
        return "int" + (f" {kind.ge}..{kind.le}" if kind.le is not None else f" ≥{kind.ge}" if kind.ge else "")
    if isinstance(kind, inspect.ListType):
        return f"[{wire_type(kind.item_type)}]" + ("" if kind.max_length is None else f"≤{kind.max_length}")
    if isinstance(kind, inspect.VarTupleType):
        return f"[{wire_type(kind.item_type)}]"
    if isinstance(kind, inspect.TupleType):
        return f"({', '.join(map(wire_type, kind.item_types))})"
    if isinstance(kind, inspect.DictType):
        return f"map of {wire_type(kind.key_type)} to {wire_type(kind.value_type)}"
    if isinstance(kind, inspect.UnionType):
        return " or ".join(sorted(map(wire_type, kind.types)))
    if isinstance(kind, inspect.StructType):
        return kind.cls.__name__
    plain: dict[type[inspect.Type], str] = {
        inspect.BytesType: "bin",
        inspect.FloatType: "float",
        inspect.BoolType: "bool",
        inspect.AnyType: "any",
        inspect.NoneType: "nil",
    }
    return plain[type(kind)]


def default(field: inspect.Field) -> str:
    value: Any = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    return "" if value is msgspec.NODEFAULT else f"`{json.dumps(value, default=bytes.decode)}`"


def fields_in_code(struct: type[msgspec.Struct]) -> list[list[str]]:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return [[field.name, wire_type(field.type), default(field)] for field in info.fields]


@pytest.mark.parametrize("struct", [*RECORDS, *MESSAGES], ids=lambda struct: struct.__name__)
def test_each_field_is_specified_in_its_place_with_type_and_default(struct: type[msgspec.Struct]) -> None:
    assert fields_in_doc(struct.__name__) == fields_in_code(struct)


def test_each_message_is_listed_with_its_kind_and_those_who_may_send_it() -> None:
    in_code = {}
    for message in MESSAGES:
        kind = frames.Packer().pack(message(*[None] * len(message.__struct_fields__)))[0]
        senders = [direction for direction, kinds in DIRECTIONS.items() if kind in kinds]
        in_code[message.__name__] = (kind[0], sorted(senders))
    in_doc = {row[1]: (int(row[0]), sorted(row[2].split(", "))) for row in rows(section("All messages"))}
    assert in_doc == in_code
