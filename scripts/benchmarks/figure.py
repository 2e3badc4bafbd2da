"""What a benchmark finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any


class Rule(Enum):
    """What a bar bounds."""

    RATIO_AT_LEAST = "ratio ≥ {bar:g}"
    RATIO_AT_MOST = "ratio ≤ {bar:g}"
    VALUE_AT_LEAST = "≥ {bar:g} {unit}"
    VALUE_AT_MOST = "≤ {bar:g} {unit}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value beside its reference from the same run, and the bar that it is to hold.

    The bar bounds the ratio of value to reference, or the value itself: `rule` says which.
    """

    name: str
    value: float
    unit: str
    reference: float
    bar: float
    rule: Rule
    notes: tuple[str, ...] = ()
    """For people: what the reference is, and what else was seen."""
    ratio: float = field(init=False)
    holds: bool = field(init=False)

    def __post_init__(self) -> None:
        ratio = self.value / self.reference
        holds = {
            Rule.RATIO_AT_LEAST: ratio >= self.bar,
            Rule.RATIO_AT_MOST: ratio <= self.bar,
            Rule.VALUE_AT_LEAST: self.value >= self.bar,
            Rule.VALUE_AT_MOST: self.value <= self.bar,
        }[self.rule]
        object.__setattr__(self, "ratio", ratio)
        object.__setattr__(self, "holds", holds)

    def rule_text(self) -> str:
        """The bar in words."""
        return self.rule.value.format(bar=self.bar, unit=self.unit)

    def as_json(self) -> dict[str, Any]:
        """The record that `scripts/bench --json` writes."""
        fields = asdict(self)
        return {key: fields[key] for key in ("name", "value", "unit", "reference", "ratio", "bar", "holds")}


Measure = Callable[[bool], Figure]
"""Measures one figure; True: quickly, with smaller sizes. Raises BenchmarkError if it cannot."""


class BenchmarkError(Exception):
    """It could not be measured: what went wrong, with the log of the process that it went wrong in."""
