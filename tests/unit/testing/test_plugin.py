"""The pytest plugin, in test suites of users'."""

from __future__ import annotations

import pytest

TASKS = """
from actorq import ActorQ

app = ActorQ("jobs", url="tcp://127.0.0.1:1")

@app.task
def add(x, y):
    return x + y
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """A directory for a test suite, beside the module `jobs`."""
    pytester.makepyfile(jobs=TASKS)
    return pytester


def run(suite: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run the suite in a process of its own."""
    return suite.runpytest_subprocess("-q", "--strict-markers", "-p", "no:cacheprovider", *options)


def test_a_mesh_in_the_process_comes_with_the_application_of_the_suite(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        """
        import pytest

        @pytest.fixture
        def actorq_app():
            from jobs import app
            return app

        @pytest.fixture(scope="session")
        def actorq_mesh_parameters():
            return {"workers": 2}
        """
    )
    suite.makepyfile(
        """
        from jobs import add

        def test_later(actorq_mesh):
            result = add.apply_async((2, 3), countdown=3600)
            actorq_mesh.run_until_idle()
            assert not result.ready() and len(actorq_mesh.workers) == 2
            actorq_mesh.clock.advance(3600)
            assert result.get() == 5 and len(actorq_mesh.calls(add)) == 1

        def test_each_test_has_a_mesh_of_its_own(actorq_mesh):
            assert actorq_mesh.calls() == [] and actorq_mesh.clock.elapsed_s == 0
        """
    )
    run(suite).assert_outcomes(passed=2)


def test_without_an_application_of_its_own_a_test_has_a_new_one(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        def test_new(actorq_app, actorq_mesh):
            @actorq_app.task
            def double(x):
                return 2 * x

            assert double.delay(4).get() == 8
            assert actorq_mesh.app is actorq_app and actorq_app.main == "actorq.tests"
        """
    )
    run(suite).assert_outcomes(passed=1)


def test_settings_are_those_of_the_suite_and_of_the_marks_of_a_test(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        """
        import pytest

        @pytest.fixture
        def actorq_app():
            from jobs import app
            return app

        @pytest.fixture(scope="session")
        def actorq_config():
            return {"task_time_limit": 7, "task_default_queue": "theirs"}
        """
    )
    suite.makepyfile(
        """
        import pytest
        from jobs import add, app

        @pytest.mark.actorq(task_time_limit=8)
        def test_marked(actorq_mesh):
            assert add.delay(1, 2).get() == 3
            (call,) = actorq_mesh.calls(add)
            assert (call.spec.time_limit_s, call.queue) == (8, "theirs")

        @pytest.mark.actorq(task_always_eager=True)
        def test_eager(actorq_mesh):
            assert add.delay(1, 2).is_eager and actorq_mesh.calls(add) == []

        def test_as_before(actorq_mesh):
            assert add.delay(1, 2).get() == 3
            assert actorq_mesh.calls(add)[0].spec.time_limit_s == 7

        def test_without():
            assert app.conf.task_time_limit is None and app.conf.task_default_queue == "default"
        """
    )
    run(suite).assert_outcomes(passed=4)


def test_the_plugin_loads_neither_gevent_nor_zmq_before_a_fixture_is_used(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import sys

        def test_nothing():
            assert "actorq.testing.plugin" in sys.modules
            assert not {"gevent", "zmq", "greenlet", "msgspec"} & set(sys.modules)
        """
    )
    run(suite).assert_outcomes(passed=1)


def test_a_worker_has_processes_of_its_own(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        """
        import pytest

        @pytest.fixture
        def actorq_app():
            from jobs import app
            return app

        @pytest.fixture(scope="session")
        def actorq_worker_parameters():
            return {"concurrency": 4, "ping_task_timeout": 60}
        """
    )
    suite.makepyfile(
        """
        import os
        from jobs import add, app

        def test_processes(actorq_worker):
            assert add.delay(2, 3).get(timeout=60) == 5

            @app.task
            def pid():
                return os.getpid()

            assert pid.delay().get(timeout=60) != os.getpid()
            assert len(actorq_worker.names) == 1 and actorq_worker.app is app

        def test_it_is_gone_after_the_test():
            assert app.url == "tcp://127.0.0.1:1"
        """
    )
    run(suite).assert_outcomes(passed=2)


def test_a_worker_may_serve_all_tests_of_a_run(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import pytest

        pids = set()

        @pytest.mark.parametrize("x", [1, 2])
        def test_it(actorq_session_app, actorq_session_worker, x):
            @actorq_session_app.task(name=f"pid {x}")
            def pid():
                import os
                return os.getpid()

            pids.add(pid.delay().get(timeout=60))
            assert len(pids) == 1
        """
    )
    run(suite).assert_outcomes(passed=2)


def test_the_names_that_users_of_celery_know(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        """
        import pytest

        pytest_plugins = ("actorq.contrib.pytest",)

        @pytest.fixture(scope="session")
        def celery_parameters():
            return {"main": "theirs"}

        @pytest.fixture(scope="session")
        def celery_includes():
            return ["jobs"]

        @pytest.fixture(scope="session")
        def celery_worker_parameters():
            return {"perform_ping_check": False, "shutdown_timeout": 5.0}
        """
    )
    suite.makepyfile(
        """
        import sys
        import pytest

        @pytest.mark.celery()
        def test_add(celery_app, celery_worker):
            @celery_app.task
            def mul(x, y):
                return x * y

            celery_worker.reload()
            assert mul.delay(4, 4).get(timeout=60) == 16
            assert celery_app.main == "theirs" and "jobs" in sys.modules
        """
    )
    run(suite).assert_outcomes(passed=1)
