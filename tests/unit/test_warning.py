"""Warnings point at the line of the program that they are about."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable

import pytest

from actorq import ActorQ
from actorq.settings import Conf


def ignored_setting() -> None:
    Conf().beat_schedule = {"nightly": {}}


def ignored_settings() -> None:
    Conf().update(beat_schedule={"nightly": {}})


def setting_of_an_application() -> None:
    ActorQ("proj", backend="redis://localhost")


def argument_without_use() -> None:
    ActorQ("proj", amqp="proj.amqp:AMQP")


def option_for_brokers() -> None:
    app = ActorQ("proj", changes={"task_always_eager": True})
    app.task(name="one")(lambda: 1).apply_async(producer=None)


def task_of_the_same_name() -> None:
    app = ActorQ("proj")
    app.task(name="same")(lambda: 1)
    app.task(name="same")(lambda: 2)


@pytest.mark.parametrize(
    "program",
    [
        ignored_setting,
        ignored_settings,
        setting_of_an_application,
        argument_without_use,
        option_for_brokers,
        task_of_the_same_name,
    ],
)
def test_a_warning_points_at_the_line_of_the_program(program: Callable[[], None]) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        program()
    lines, first = inspect.getsourcelines(program)
    (warning,) = told
    assert warning.filename == __file__
    assert first < warning.lineno < first + len(lines)


def test_each_line_is_told_once_as_of_any_warning() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        for _ in range(3):
            ignored_setting()
    assert len(told) == 1
