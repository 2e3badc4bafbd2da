"""The client in `docs/protocol.md`, written with nothing but ZeroMQ and msgpack, gets its calls done by a real mesh."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support import REPOSITORY, Nodes

TASKS = """
from actorq import ActorQ

app = ActorQ("tasks")

@app.task
def add(x, y):
    if x == 3:
        raise ValueError("three is too many")
    return x + y
"""


def test_a_client_that_is_made_from_the_specification_alone_gets_its_results(
    nodes: Nodes, address: str, tmp_path: Path
) -> None:
    (client,) = re.findall(r"^```python\n(.*?)^```$", (REPOSITORY / "docs/protocol.md").read_text(), re.M | re.S)
    (tmp_path / "client.py").write_text(client)
    (tmp_path / "tasks.py").write_text(TASKS)
    # Given a mesh with a worker that offers tasks.add
    nodes.start("coordinator", "--listen", address)
    nodes.start("worker", "-A", "tasks", "-u", address, env={"PYTHONPATH": str(tmp_path)})
    # When the client submits three calls of it
    command = [sys.executable, str(tmp_path / "client.py"), address]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    # Then it has the outcomes, that of the call that failed included
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert lines[:2] == ["add(1, 1): ('SUCCESS', 2)", "add(2, 2): ('SUCCESS', 4)"]
    assert lines[2].startswith("add(3, 3): ('FAILURE', ['builtins', 'ValueError', 'three is too many', ")
