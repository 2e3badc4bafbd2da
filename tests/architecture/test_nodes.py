"""The ways to start nodes agree with what a worker does when it is asked to end."""

from __future__ import annotations

import re
from configparser import ConfigParser

from tests.support import REPOSITORY

UNITS = REPOSITORY / "nodes" / "systemd"


def service(name: str) -> dict[str, str]:
    """The [Service] settings of a unit; of a setting that is there several times, the last."""
    unit = ConfigParser(strict=False, interpolation=None, delimiters="=")
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNITS / name)
    return dict(unit["Service"])


def test_systemd_waits_longer_than_a_worker_drains() -> None:
    worker = service("actorq-worker@.service")
    drain = re.search(r"--drain (\d+)", worker["ExecStart"])
    assert drain
    assert int(worker["TimeoutStopSec"]) > int(drain[1])


def test_systemd_lets_the_supervisor_end_its_processes() -> None:
    # TERM to all of them at once would be their second one, after the supervisor's: they would not drain.
    assert service("actorq-worker@.service")["KillMode"] == "mixed"


def test_every_way_to_start_nodes_says_how() -> None:
    overview = (REPOSITORY / "nodes" / "README.md").read_text()
    for directory in (path for path in (REPOSITORY / "nodes").iterdir() if path.is_dir()):
        assert (directory / "README.md").is_file()
        assert f"({directory.name}/README.md)" in overview
