"""How a worker is started, and how it finds the application."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from actorq.errors import ImproperlyConfigured, TimeLimitExceeded
from actorq.wire.records import Call, CallSpec
from actorq.worker import lines
from actorq.worker.application import find_application
from actorq.worker.commands import SHOWN_ITEMS, plain
from actorq.worker.options import WorkerOptions, expand_name, remapped
from tests.unit.worker.support import PlainApplication, run_patched

HOST = os.uname().nodename


def test_options_travel_as_json_unchanged() -> None:
    options = WorkerOptions(
        addresses=("tcp://a:1", "tcp://b:2"),
        include=("more",),
        queues=("q",),
        concurrency=7,
        by_value=False,
        parent_fd=9,
    )
    assert WorkerOptions.from_json(options.to_json()) == options


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("worker-%i@%h", f"worker-1@{HOST}"),
        ("%n", HOST.partition(".")[0]),
        ("p%p", "p42"),
        ("50%%h", "50%h"),
        ("100%", "100%"),
        ("%x", "%x"),
    ],
)
def test_names_are_made_of_what_their_patterns_stand_for(pattern: str, name: str) -> None:
    assert expand_name(pattern, 42) == name


def test_every_process_gets_a_name_of_its_own_also_where_the_pattern_has_no_number() -> None:
    names = [WorkerOptions(name="slow@%h", processes=2).of_process(number, None).name for number in (1, 2)]
    assert names == ["slow-1@%h", "slow-2@%h"]
    assert WorkerOptions(name="slow@%h").of_process(1, None).name == "slow@%h"
    assert WorkerOptions(name="w%i", processes=2).of_process(2, 5).name == "w2"


def test_sigterm_stands_for_sigquit_only_where_the_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert remapped(signal.SIGTERM) == signal.SIGTERM
    monkeypatch.setenv("REMAP_SIGTERM", "SIGQUIT")
    assert [remapped(number) for number in (signal.SIGTERM, signal.SIGINT)] == [signal.SIGQUIT, signal.SIGINT]


# -- the application ---------------------------------------------------------------------------------------------------


@pytest.fixture
def module() -> Iterator[ModuleType]:
    made = ModuleType("module_of_a_test")
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


def test_the_only_application_of_a_module_is_found_whatever_its_name(module: ModuleType) -> None:
    application = PlainApplication({})
    module.__dict__.update(mine=application, again=application, cls=PlainApplication, number=1)
    assert find_application(module.__name__) is application
    assert find_application(f"{module.__name__}:mine") is application


def test_of_several_the_one_with_the_usual_name_is_taken(module: ModuleType) -> None:
    app, other = PlainApplication({}), PlainApplication({})
    module.__dict__.update(other=other, another=PlainApplication({}))
    with pytest.raises(ImproperlyConfigured, match="several applications"):
        find_application(module.__name__)
    module.__dict__["app"] = app
    assert find_application(module.__name__) is app
    assert find_application(f"{module.__name__}:other") is other


def test_what_is_wrong_with_a_name_is_said(module: ModuleType) -> None:
    module.__dict__["app"] = PlainApplication({})
    with pytest.raises(ImproperlyConfigured, match="did you mean 'app'"):
        find_application(f"{module.__name__}:apq")
    with pytest.raises(ImproperlyConfigured, match="is not an application"):
        find_application(f"{module.__name__}:__name__")
    with pytest.raises(ImproperlyConfigured, match=r"no module 'no.such'"):
        find_application("no.such")
    with pytest.raises(ImproperlyConfigured, match="has no application"):
        find_application("json")


def test_an_import_that_fails_inside_of_the_module_is_not_taken_for_a_missing_module(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.path.join(tmp_path, "needs_something.py"), "w") as file:
        file.write("import something_that_is_not_installed\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="something_that_is_not_installed"):
        find_application("needs_something")


def test_without_a_name_only_functions_by_value_run() -> None:
    application = find_application("")
    assert list(application.tasks) == [] and "cloudpickle" in application.serializers.accept_content


# -- what is shown -----------------------------------------------------------------------------------------------------


def test_what_replies_show_of_arguments_is_plain_and_bounded() -> None:
    assert plain([1, "a", None, 1.5, True, {"k": (1, 2)}]) == [1, "a", None, 1.5, True, {"k": [1, 2]}]
    assert plain(2**70) == str(2**70) and plain({1, 2}) == "{1, 2}" and plain(b"x") == "b'x'"
    assert len(plain("x" * 1000)) == SHOWN_ITEMS + 1 and len(plain(list(range(1000)))) == SHOWN_ITEMS
    nested: list[object] = []
    for _ in range(50):
        nested = [nested]
    assert len(str(plain(nested))) < 2000


def test_a_repr_that_fails_or_is_long_does_no_harm_to_a_log_line() -> None:
    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError

    assert "raised RuntimeError" in lines.short_repr(Bad())
    assert len(lines.short_repr("x" * 10_000)) == lines.LONGEST_REPR


def test_log_records_carry_their_parts_for_filters(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "actorq.worker"):
        lines.succeeded(CallSpec("proj.add"), Call("id-1", 1, b""), 0.25, 4)
    (record,) = caplog.records
    assert record.getMessage() == "Task proj.add[id-1] succeeded in 0.25s: 4"
    assert record.__dict__["data"] == {"name": "proj.add", "id": "id-1", "runtime": 0.25, "return_value": "4"}


def test_log_lines_of_a_sensitive_task_name_the_call_and_nothing_that_it_knows(
    caplog: pytest.LogCaptureFixture,
) -> None:
    spec, call = CallSpec("proj.pay", sensitive=True), Call("id-1", 1, b"")
    error = ValueError("card of Ada")
    with caplog.at_level("INFO", "actorq.worker"):
        lines.succeeded(spec, call, 0.25, "card of Ada")
        lines.raised(spec, call, error, "Traceback …\nValueError: card of Ada")
        lines.ended(spec, call, TimeLimitExceeded("after 1 s"), "Traceback …\nValueError: card of Ada")
    assert "of Ada" not in caplog.text and not any("of Ada" in str(each.__dict__) for each in caplog.records)
    said = [each.getMessage() for each in caplog.records]
    assert "succeeded in 0.25s: <hidden>" in said[0] and "ValueError(<hidden>)" in said[1] and "after 1 s" in said[2]


# -- light imports -----------------------------------------------------------------------------------------------------


def test_a_node_loads_nothing_at_its_start_that_only_some_programs_need() -> None:
    heavy = ["click", "rich", "asyncio.base_events", "cloudpickle", "pickle", "logging.handlers", "numpy", "psutil"]
    loaded = run_patched(f"""
import sys
before = set(sys.modules)  # gevent's own are not ours to choose.
import actorq.worker.main
print([name for name in {heavy} if name in sys.modules and name not in before])
""")
    assert loaded.strip() == "[]"


def test_the_supervisor_loads_neither_gevent_nor_zmq() -> None:
    loaded = run_patched("").strip()
    assert loaded == ""
    import subprocess

    script = (
        "import sys, actorq.worker.supervisor; print([m for m in ('gevent', 'zmq', 'msgspec') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"
