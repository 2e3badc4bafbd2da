"""The helpers that other tests rely on."""

from __future__ import annotations

import itertools
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support import REPOSITORY, Nodes, eventually, free_port

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("child", child.pid)
child.wait()
"""


def test_eventually_returns_the_first_true_value() -> None:
    values = iter([0, "", None, "ready", "later"])
    assert eventually(lambda: next(values)) == "ready"


def test_eventually_takes_a_failed_assertion_for_not_yet() -> None:
    counter = itertools.count()

    def third_time() -> bool:
        assert next(counter) >= 2, "too early"
        return True

    assert eventually(third_time)


def test_eventually_says_what_was_awaited_and_what_was_there_instead() -> None:
    with pytest.raises(AssertionError, match=r"all workers: not within 0.05 s; it was \[\] in the end"):
        eventually(list, timeout_s=0.05, what="all workers")


def test_a_free_port_can_be_bound() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))


def test_nodes_end_with_all_that_they_started_even_when_stopped_or_orphaned(tmp_path: Path) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        with Nodes(tmp_path) as nodes:
            # Given a stopped node with a child, and a killed one whose child lives on in another session
            stopped = nodes.start_command(sys.executable, "-c", PARENT)
            stopped.wait_for_output("child")
            stopped.signal(signal.SIGSTOP)
            killed = nodes.start_command(sys.executable, "-c", PARENT)
            killed.wait_for_output("child")
            killed.signal(signal.SIGKILL)
            assert killed.wait() == -signal.SIGKILL
            alive = nodes.alive()
            assert len(alive) == 3
        # Then all are gone in the end, and other processes are not
        assert not [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_node_that_ends_early_shows_what_it_wrote(nodes: Nodes) -> None:
    node = nodes.start_command(sys.executable, "-c", "print('address in use'); raise SystemExit(3)")
    with pytest.raises(AssertionError, match=r"(?s)no 'listening' in the output .* ended with 3\):\naddress in use"):
        node.wait_for_output("listening")


def test_a_failed_test_shows_the_logs_of_its_nodes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    pytester.makeconftest("from tests.conftest import *")
    pytester.makepyfile(
        """
        import sys

        def test_fails(nodes):
            nodes.start_command(sys.executable, "-c", "print('out of', 'cheese')").wait()
            assert False
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*log of *ended with 0*", "out of cheese"])
