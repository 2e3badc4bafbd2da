"""The types that users see: wrong uses fail in the editor."""

from __future__ import annotations

import re
from pathlib import Path

from mypy import api

from tests.support import REPOSITORY

HERE = Path(__file__).parent


def errors_of(file: Path) -> dict[int, str]:
    """Line number and kind of each error that mypy finds in `file`."""
    output, problems, _ = api.run(["--config-file", str(REPOSITORY / "setup.cfg"), str(file)])
    assert not problems
    found = re.findall(rf"^{re.escape(str(file.relative_to(REPOSITORY)))}:(\d+): error: .*\[([a-z-]+)\]$", output, re.M)
    return {int(line): kind for line, kind in found}


def test_right_uses_are_accepted() -> None:
    assert errors_of(HERE / "right.py") == {}


def test_each_wrong_use_is_rejected() -> None:
    file = HERE / "wrong.py"
    expected = {
        number: kind
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        for kind in re.findall(r"# error: ([a-z-]+)", line)
    }
    assert errors_of(file) == expected
