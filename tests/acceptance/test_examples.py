"""Each example runs as its docstring says, and its results are right."""

from __future__ import annotations

import ast
import inspect
import json
import json.decoder
import os
import re
import shlex
import struct
import subprocess
import sys
import urllib.request
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support import REPOSITORY, Nodes, eventually, free_address

EXAMPLES = sorted((REPOSITORY / "examples").glob("*.py"))


def docstring(name: str) -> str:
    return ast.get_docstring(ast.parse((REPOSITORY / "examples" / name).read_text())) or ""


def commands(name: str) -> list[str]:
    """The commands in an example's docstring."""
    return [line.strip() for line in docstring(name).splitlines() if line.startswith("    ")]


def command(name: str, ending: str = "") -> str:
    """The command of an example's docstring with this ending."""
    (found,) = (line for line in commands(name) if line.endswith(ending))
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A working directory that looks like the repository's, for commands that write files."""
    for name in ("examples", "README.md"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    return tmp_path


@pytest.fixture
def environment(directory: Path) -> dict[str, str]:
    """That of a user whose virtual environment is active, and who has no mesh running."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**{name: os.environ[name] for name in os.environ if name != "ACTORQ_URL"}, "PATH": path, "COLUMNS": "120"}


def run(line: str, directory: Path, environment: dict[str, str]) -> str:
    """Run a command to its end. Returns what it wrote to standard output."""
    result = subprocess.run(
        shlex.split(line), cwd=directory, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert result.returncode == 0, f"{line} ended with {result.returncode}:\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_says_how_to_run_it_and_is_listed(path: Path) -> None:
    assert any(f"python examples/{path.name}" in line for line in commands(path.name))
    assert f"[`{path.name}`]({path.name})" in (REPOSITORY / "examples" / "README.md").read_text()


def test_the_census_finds_the_functions_of_the_standard_library(directory: Path, environment: dict[str, str]) -> None:
    output = run(command("stdlib_census.py", "json"), directory, environment)
    # Then the decoder of JSON's objects is among the most branched, with its length and place in this Python.
    source, line = inspect.getsourcelines(vars(json.decoder)["JSONObject"])
    row = rf"│ +{len(source)} │ +(\d+) │ JSONObject +│ json/decoder\.py:{line} +│"
    found = re.search(row, output[output.index("most branched") :])
    assert found and int(found[1]) > 10, output
    assert re.search(r"^\d+ files, [\d,]+ lines, \d+ functions in [\d.]+ s: [\d,]+ files/s$", output, re.MULTILINE)


def test_the_mandelbrot_image_is_a_png_of_the_set(directory: Path, environment: dict[str, str]) -> None:
    output = run(command("mandelbrot.py", "small.png"), directory, environment)
    assert output.startswith("small.png: 240 x 160, 12 tiles")
    pixel = read_png(directory / "small.png", width=240, height=160)
    # Then the origin and -1 are inside the set, and black; the corner is far outside, and dark blue.
    assert pixel(165, 80) == pixel(90, 80) == (0, 0, 0)
    assert pixel(0, 0) == (0, 0, 55)
    # And around the set there are many shades, as orbits stay for up to 200 steps.
    assert len({pixel(x, y) for x in range(240) for y in range(80)}) > 50
    # And the set is its own mirror image, so that no tile is at a wrong place.
    assert all(pixel(x, 80 - y) == pixel(x, 80 + y) for x in range(0, 240, 7) for y in range(80))


def read_png(path: Path, width: int, height: int) -> Any:
    """Check the file's structure (RFC 2083), and return a function that gives a pixel's color."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, position = {}, 8
    while position < len(data):
        (size,) = struct.unpack_from(">I", data, position)
        kind, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + size]
        assert struct.unpack_from(">I", data, position + 8 + size)[0] == zlib.crc32(kind + content)
        chunks[kind] = content
        position += 12 + size
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert chunks[b"IHDR"] == struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.decompress(chunks[b"IDAT"])
    stride = 1 + 3 * width
    assert len(rows) == height * stride
    assert not any(rows[::stride])
    return lambda x, y: tuple(rows[y * stride + 1 + 3 * x : y * stride + 4 + 3 * x])


def test_the_asyncio_program_awaits_all_pages(directory: Path, environment: dict[str, str]) -> None:
    output = run(command("asyncio_program.py", "--pages 50"), directory, environment)
    # Then each of "page N of the book" has its 13 letters counted.
    assert output.splitlines()[0] == "page 1 of the book"
    assert f"50 pages, {50 * 13} letters" in output


@pytest.fixture
def web(nodes: Nodes, environment: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The first two terminals of the web producer's docstring: the application's address, and the environment."""
    up, serve = commands("web_producer.py")[:2]
    address = free_address()
    shell = {**environment, "ACTORQ_URL": address}
    nodes.start_command(*shlex.split(up), "--listen", address, env=shell)
    application = nodes.start_command(*shlex.split(serve), "--port", "0", env=shell)
    application.wait_for_output("/texts")
    return application.output().strip(), shell


def test_results_of_the_web_producer_are_looked_up_from_another_process(
    web: tuple[str, dict[str, str]], directory: Path
) -> None:
    url, shell = web
    written = "http://127.0.0.1:8000/texts"

    def curl(ending: str, task_id: str = "") -> dict[str, Any]:
        """A curl command of the docstring, with the port that is free and the id."""
        arguments = shlex.split(command("web_producer.py", ending).replace(written, url).replace("ID", task_id))
        data = Path(directory, arguments[2][1:]).read_bytes() if arguments[1] == "--data-binary" else None
        with urllib.request.urlopen(arguments[-1], data, timeout=30) as response:
            answer: dict[str, Any] = json.load(response)
            return answer

    # Given a text that was posted, when its id is looked up in a process of its own
    task_id = curl("8000/texts")["id"]
    lookup = command("web_producer.py", "lookup ID").replace("ID", task_id)
    found = eventually(lambda: settled(json.loads(run(lookup, directory, shell))), 30)
    # Then its result is there, and the application tells the same
    words = re.findall(r"\w+", (REPOSITORY / "README.md").read_text().lower())
    assert found["state"] == "SUCCESS"
    assert dict(found["result"]) == dict(Counter(words).most_common(5))
    assert eventually(lambda: settled(curl("texts/ID", task_id)), 30) == found
    # And an id that nobody knows is pending.
    assert curl("texts/ID", "nobody-knows-it") == {"id": "nobody-knows-it", "state": "PENDING"}


def settled(answer: dict[str, Any]) -> dict[str, Any]:
    return answer if answer["state"] in {"SUCCESS", "FAILURE"} else {}
