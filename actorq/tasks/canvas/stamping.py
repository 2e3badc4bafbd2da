"""Stamps: names and values that all calls of a canvas carry, for their tasks to see and for people to end them by.

A stamp is an option of a signature that its `stamped_headers` name. Where several say one name, what is given to `stamp`
counts, then what the visitor says, then what the signature has; or all of them are kept, as a list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from actorq.errors import ImproperlyConfigured
from actorq.tasks.canvas.signature import LINKS, Signature, maybe_signature
from actorq.tasks.options import APPLY_OPTIONS, SPEC_OPTIONS
from actorq.tasks.request import listed

NAMES = "stamped_headers"
Stamps = dict[str, Any]


class StampingVisitor(ABC):
    """Says what each part of a canvas is stamped with. Each method gets the stamps so far as keywords, and returns more:
    all that is in the dict, or what ``stamped_headers`` in it names.
    """

    @abstractmethod
    def on_signature(self, sig: Signature[Any], **headers: Any) -> dict[str, Any]:
        """For a single call."""

    def on_group_start(self, sig: Signature[Any], **headers: Any) -> dict[str, Any]:
        """For all in a group; so of the others."""
        return {}

    def on_group_end(self, sig: Signature[Any], **headers: Any) -> None:  # noqa: B027 - nothing need be done there.
        """All in it have their stamps."""

    def on_chain_start(self, sig: Signature[Any], **headers: Any) -> dict[str, Any]:
        return {}

    def on_chain_end(self, sig: Signature[Any], **headers: Any) -> None:  # noqa: B027
        pass

    def on_chord_header_start(self, sig: Signature[Any], **headers: Any) -> dict[str, Any]:
        return self.on_group_start(sig, **headers)

    def on_chord_header_end(self, sig: Signature[Any], **headers: Any) -> None:
        self.on_group_end(sig, **headers)

    def on_chord_body(self, sig: Signature[Any], **headers: Any) -> dict[str, Any]:
        return {}

    def on_callback(self, callback: Signature[Any], **headers: Any) -> dict[str, Any]:
        """For what is linked."""
        return {}

    def on_errback(self, errback: Signature[Any], **headers: Any) -> dict[str, Any]:
        return {}


def stamp(sig: Any, visitor: StampingVisitor | None, appends: bool, headers: Mapping[str, Any]) -> None:
    """Stamp a canvas in place, with all that is linked to it. Raises ImproperlyConfigured for the name of an option."""
    stamps = _stamps_in(headers)
    for option, hook in zip(LINKS, ("on_callback", "on_errback"), strict=True):
        if sig.options.get(option):
            linked = sig.options[option] = [maybe_signature(each, sig.own_app()) for each in sig.linked(option)]
            for each in linked:
                stamp(each, visitor, appends, _with(stamps, visitor, hook, each, appends))
    if sig.subtask_type in ("chain", "group"):
        _stamp_parts(sig, visitor, appends, stamps, f"on_{sig.subtask_type}")
    elif sig.subtask_type == "chord":
        _stamp_parts(sig, visitor, appends, stamps, "on_chord_header")
        if sig.body is not None:
            stamp(sig.body, visitor, appends, _with(stamps, visitor, "on_chord_body", sig, appends))
    else:
        own = {name: sig.options[name] for name in sig.options.get(NAMES) or () if name in sig.options}
        found = _merged(appends, _with(stamps, visitor, "on_signature", sig, appends), own)
        sig.set(**found, **{NAMES: sorted(found)})


def _stamp_parts(sig: Any, visitor: StampingVisitor | None, appends: bool, stamps: Stamps, hook: str) -> None:
    stamps = _with(stamps, visitor, f"{hook}_start", sig, appends)
    for each in sig.tasks:
        stamp(each, visitor, appends, stamps)
    if visitor is not None:
        getattr(visitor, f"{hook}_end")(sig, **stamps)


def _with(stamps: Stamps, visitor: StampingVisitor | None, hook: str, sig: Any, appends: bool) -> Stamps:
    """These stamps, and those that the visitor has for a part."""
    said = {} if visitor is None else getattr(visitor, hook)(sig, **stamps) or {}
    return _merged(appends, stamps, _stamps_in(said))


def _stamps_in(headers: Mapping[str, Any]) -> Stamps:
    names = headers.get(NAMES)
    stamps = {name: value for name, value in headers.items() if name != NAMES and (names is None or name in names)}
    wrong = [name for name in stamps if name in SPEC_OPTIONS or name in APPLY_OPTIONS]
    if wrong:
        raise ImproperlyConfigured(f"a stamp cannot be named as an option of calls is: {', '.join(sorted(wrong))}")
    return stamps


def _merged(appends: bool, *sources: Stamps) -> Stamps:
    merged: Stamps = {}
    for source in sources:
        for name, value in source.items():
            if name not in merged:
                merged[name] = value
            elif appends:
                known = listed(merged[name])
                merged[name] = known + [each for each in listed(value) if each not in known]
    return merged
