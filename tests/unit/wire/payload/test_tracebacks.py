"""The traceback of the other node is kept with the exception, and printed with it."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import pytest

from actorq.wire.payload import decode_failure, encode_failure, format_remote_traceback, remote_traceback
from actorq.wire.payload.tracebacks import MAX_TRACEBACK_CHARS, bounded


def users_task() -> None:
    raise ValueError("the reason")


def run_as(module: str, function: Any) -> BaseException:
    """The exception of `function` when it is called by code of a module of that name."""
    names: dict[str, Any] = {"__name__": module, "function": function}
    exec("def run():\n    function()", names)
    try:
        names["run"]()
    except BaseException as exc:
        return exc.with_traceback(exc.__traceback__ and exc.__traceback__.tb_next)
    raise AssertionError("did not raise")


def printed(exc: BaseException) -> str:
    return "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))


def test_the_text_is_what_python_prints() -> None:
    exc = run_as("anything", users_task)
    assert format_remote_traceback(exc) == printed(exc)
    assert "users_task" in printed(exc) and "ValueError: the reason" in printed(exc)


def test_frames_of_the_runner_are_left_out_from_the_top() -> None:
    exc = run_as("actorq.worker.pool", users_task)
    text = format_remote_traceback(exc, skip=("actorq.worker",))
    assert "in run" in format_remote_traceback(exc)
    assert "in run" not in text
    assert text.startswith("Traceback") and "in users_task" in text and "ValueError: the reason" in text


def test_a_module_whose_name_only_begins_alike_is_not_skipped() -> None:
    exc = run_as("actorq.workers_of_the_user", users_task)
    assert "in run" in format_remote_traceback(exc, skip=("actorq.worker",))


def test_an_error_of_the_runner_itself_keeps_its_frames() -> None:
    exc = run_as("actorq.worker.pool", lambda: None.missing)  # type: ignore[attr-defined]
    assert "in run" in format_remote_traceback(exc, skip=("actorq.worker", __name__))


def test_causes_are_in_the_text() -> None:
    def task() -> None:
        try:
            users_task()
        except ValueError as exc:
            raise KeyError("outer") from exc

    text = format_remote_traceback(run_as("actorq.worker", task), skip=("actorq.worker",))
    assert "ValueError: the reason" in text and "direct cause" in text and "KeyError: 'outer'" in text


def test_an_exception_without_a_traceback_has_a_text_too() -> None:
    assert format_remote_traceback(ValueError("x")) == "ValueError: x\n"


def test_an_exception_that_cannot_be_formatted_has_a_text_too() -> None:
    class Nasty(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        @property
        def __cause__(self) -> Any:  # type: ignore[override]
            raise RuntimeError("no cause")

        __context__ = __cause__

    assert "Nasty" in format_remote_traceback(Nasty())


def test_a_long_text_keeps_its_head_and_its_tail() -> None:
    text = format_remote_traceback(ValueError("x" * 1_000_000 + "tail"))
    assert text.startswith("ValueError: x") and text.endswith("tail\n")
    assert len(text) < MAX_TRACEBACK_CHARS + 100
    assert bounded("short", 5) == "short"


def test_it_is_printed_with_the_exception_where_that_arrives() -> None:
    exc = decode_failure(encode_failure(ValueError("x"), "Traceback of there\n"))
    assert remote_traceback(exc) == "Traceback of there\n"
    assert "Traceback on the worker" in printed(exc) and "Traceback of there" in printed(exc)
    assert remote_traceback(ValueError("local")) is None


def test_python_without_notes_shows_it_as_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 0))
    exc = decode_failure(encode_failure(ValueError("x"), "Traceback of there\n"))
    assert not hasattr(exc, "__notes__")
    assert "Traceback of there" in str(exc.__cause__)
    assert "Traceback of there" in printed(exc)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no notes")
def test_an_exception_that_travels_on_does_not_collect_notes() -> None:
    exc: Exception = ValueError("x")
    vars(exc)["__notes__"] = ["of the user"]
    for hop in range(5):
        exc = decode_failure(encode_failure(exc, f"hop {hop}"))
    assert vars(exc)["__notes__"] == ["of the user", "Traceback on the worker:\n\nhop 4"]
