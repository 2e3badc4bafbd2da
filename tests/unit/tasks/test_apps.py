"""Tasks of all applications, the current one, and what is decided outside of a definition."""

from __future__ import annotations

import gc
import sys
from contextvars import copy_context
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from actorq import ActorQ, Task, current_app, shared_task
from actorq.errors import ImproperlyConfigured
from actorq.tasks.apps import Apps
from actorq.wire.messages import MAX_NAMES
from tests.unit.tasks.support import make_app, run_call


def test_a_shared_task_is_one_of_every_application_there_is_and_will_be() -> None:
    before = make_app()

    @shared_task(name="shared.add", queue="q")
    def add(x: int, y: int) -> int:
        return x + y

    after = make_app()
    for app in (before, after):
        app.set_current()
        assert isinstance(add, Task) and add.app is app and add == app.tasks["shared.add"]
        assert add(1, 2) == 3 and add.spec.queue == "q"
    assert cloudpickle.loads(cloudpickle.dumps(add)).name == "shared.add"
    with pytest.raises(TypeError, match="once"):
        shared_task(add)
    with pytest.raises(TypeError):
        shared_task(1)  # type: ignore[call-overload]


def test_the_current_application_is_the_last_that_was_made_or_set_in_this_context() -> None:
    first, second = make_app(), make_app()
    assert current_app.tasks is second.tasks
    copy_context().run(first.set_current)
    assert current_app == second
    first.set_current()
    assert current_app == first
    hidden = make_app(set_as_current=False)
    assert current_app == first != hidden


def test_a_context_without_one_has_the_default_which_is_the_first() -> None:
    apps = Apps()
    first, second = make_app(), make_app()
    assert apps.current() is None
    apps.add(first, is_current=True)
    copy_context().run(apps.add, second, True)
    assert apps.current() is first
    apps.set_default(second)
    assert apps.current() is second


def test_applications_that_nobody_holds_are_gone() -> None:
    apps = Apps()
    apps.add(make_app(set_as_current=False), is_current=False)
    gc.collect()
    assert apps.all() == []


# -- names and definitions -------------------------------------------------------------------------------------------


def test_an_application_may_name_its_tasks_by_a_rule_of_its_own() -> None:
    class Named(ActorQ):
        def gen_task_name(self, name: str, module: str) -> str:
            return f"own.{name.split('.')[-1]}"

    def f() -> None: ...

    assert Named("x").task(f).name == "own.f"


def test_a_task_that_travels_by_value_brings_its_class_and_options_along() -> None:
    class Traced(Task[Any, Any]):
        def on_success(self, *_: Any) -> None: ...

    task = make_app().task(name="t", base=Traced, max_retries=7, queue="q")(lambda x: x + 1)
    arrived = cloudpickle.loads(cloudpickle.dumps(task))
    assert type(arrived).__name__ == "Traced" and arrived.trace is not None
    assert (arrived.max_retries, arrived.options, arrived(1)) == (7, task.options, 2)
    assert task.is_more_than_its_function and not make_app().task(lambda: None).is_more_than_its_function


def test_an_application_that_came_with_a_task_is_not_the_current_one() -> None:
    app = make_app()
    assert cloudpickle.loads(cloudpickle.dumps(make_app(set_as_current=False))) is not current_app
    assert current_app == app


def test_a_filter_makes_something_of_the_task() -> None:
    kept: list[Any] = []
    app = make_app()
    assert app.task(name="t", filter=kept.append, lazy=False, shared=True)(lambda: None) is None
    assert kept == [app.tasks["t"]]


def test_only_one_function_is_taken() -> None:
    with pytest.raises(TypeError):
        make_app().task(len, print)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        make_app().task("name")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": -1},
        {"max_retries": "many"},
        {"default_retry_delay": None},
        {"autoretry_for": ValueError},
        {"throws": ("ValueError",)},
        {"retry_backoff": "fast"},
        {"retry_kwargs": [1]},
        {"resultrepr_maxsize": None},
    ],
)
def test_an_option_that_makes_no_sense_is_refused_at_the_definition(options: dict[str, Any]) -> None:
    define: Any = make_app().task
    with pytest.raises(ImproperlyConfigured, match=next(iter(options))):
        define(name="t", **options)(lambda: None)


def test_how_often_a_call_is_delivered_again_when_its_worker_dies() -> None:
    def deliveries(**options: Any) -> int:
        task: Any = make_app().task
        return int(task(name="t", **options)(lambda: None).spec.max_deliveries)

    assert deliveries() == deliveries(reject_on_worker_lost=True) == 3
    assert deliveries(reject_on_worker_lost=False) == 1
    assert deliveries(retry_on_worker_lost=True) == 4
    assert deliveries(retry_on_worker_lost=True, max_retries=0) == 1
    assert deliveries(retry_on_worker_lost=True, max_retries=None) > MAX_NAMES
    assert deliveries(retry_on_worker_lost=True, max_deliveries=2) == 2


def test_arguments_are_not_compared_without_typing() -> None:
    app = make_app()
    sent: list[Any] = []
    task = app.task(name="t", typing=False)(lambda x: x)
    task._mesh = Sent(sent)  # type: ignore[assignment]
    task.delay(1, 2)  # type: ignore[call-arg]
    assert sent == [("t", (1, 2), {}, {})]


class Sent:
    """A mesh that keeps what is sent."""

    def __init__(self, sent: list[Any]) -> None:
        self.sent = sent
        self.inline = ActorQ(set_as_current=False).inline

    def send_plain(self, task: Any, args: Any, kwargs: Any) -> None:
        self.sent.append((task.name, args, kwargs, {}))

    def routed(self, name: Any, own: Any, args: Any, kwargs: Any, options: Any) -> Any:
        return options

    def send(self, spec: Any, args: Any, kwargs: Any, options: Any) -> None:
        self.sent.append((spec.task, args, kwargs, options))

    def code_of(self, task: Any) -> str:
        return ""

    def options_of(self, task: Any) -> dict[str, Any]:
        return {}


def test_a_task_may_have_an_expiry_and_a_name_for_logs_of_its_own() -> None:
    class Shown(Task[Any, Any]):
        def shadow_name(self, args: Any, kwargs: Any, options: Any) -> str | None:
            return f"shown {args[0]}"

    sent: list[Any] = []
    task: Any = make_app().task(name="t", base=Shown, expires=60)(lambda x: x)
    task._mesh._mesh = Sent(sent)
    task.delay(1)
    task.apply_async((2,), expires=5, shadow="other")
    assert sent == [
        ("t", (1,), {}, {"expires": 60, "shadow": "shown 1"}),
        ("t", (2,), {}, {"expires": 5, "shadow": "other"}),
    ]


# -- annotations -------------------------------------------------------------------------------------------------


def test_annotations_change_the_options_of_tasks() -> None:
    class Looks:
        def annotate(self, task: Any) -> dict[str, Any] | None:
            return {"queue": "looked"} if task.name == "a" else None

    app = make_app(changes={"task_annotations": [{"*": {"max_retries": 9}, "b": {"time_limit": 5}}, Looks()]})
    a, b = app.task(name="a", max_retries=1)(lambda: None), app.task(name="b")(lambda: None)
    assert (a.spec.queue, a.spec.time_limit_s, a.max_retries) == ("looked", 0, 9)
    assert (b.spec.queue, b.spec.time_limit_s, b.max_retries) == ("default", 5, 9)


def test_an_annotation_may_be_a_hook() -> None:
    failed: list[Any] = []
    app = make_app(changes={"task_annotations": {"*": {"on_failure": lambda exc, *_: failed.append(exc)}}})
    task = app.task(name="t")(lambda: 1 // 0)
    assert run_call(task).state == "FAILURE"
    assert [type(error) for error in failed] == [ZeroDivisionError]


# -- discovery ---------------------------------------------------------------------------------------------------


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("with_tasks", "without_tasks", "broken_tasks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "with_tasks" / "tasks.py").write_text("import sys; sys.modules['was_imported'] = sys\n")
    (tmp_path / "broken_tasks" / "tasks.py").write_text("import not_there_at_all\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "was_imported", raising=False)
    return tmp_path


def test_modules_are_imported_when_a_worker_starts_and_a_missing_one_is_left_out(packages: Path) -> None:
    app = make_app()
    app.autodiscover_tasks(lambda: ["with_tasks", "without_tasks", "no_such_package"])
    assert "was_imported" not in sys.modules
    app.import_tasks()
    assert sys.modules.pop("was_imported")


def test_what_goes_wrong_in_such_a_module_comes_out(packages: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        make_app().autodiscover_tasks(["broken_tasks"], force=True)


# -- models ------------------------------------------------------------------------------------------------------


def test_models_are_validated_on_the_worker_and_dumped_on_the_way() -> None:
    pydantic = pytest.importorskip("pydantic")
    Point = pydantic.create_model("Point", x=(int, ...), y=(int, 0))  # noqa: N806

    def mirror(point: Any, times: int = 1) -> Any:
        assert isinstance(point, Point)
        return Point(x=-point.x * times, y=-point.y)

    mirror.__annotations__.update({"point": Point})
    task: Any = make_app().task(name="mirror", pydantic=True)(mirror)
    assert run_call(task, {"x": "1"}, times=2).value == {"x": -2, "y": 0}
    assert "x" in str(run_call(task, {"x": "one"}).error)
    sent: list[Any] = []
    task._mesh._mesh = Sent(sent)
    task.delay(Point(x=1))
    assert sent == [("mirror", [{"x": 1, "y": 0}], {}, {})]
