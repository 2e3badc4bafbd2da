"""One client program, in every kind of process: plain, patched by gevent, under asyncio, after a fork."""

from __future__ import annotations

import subprocess
import sys

import pytest

from actorq import ActorQ
from tests.support import REPOSITORY

PROGRAM = """
from tests.integration.tasks import add, app, fail

def main():
    results = [add.delay(i, 1) for i in range(500)]
    assert app.gather(*results, timeout=20) == list(range(1, 501))
    assert add.delay(1, 2).get(timeout=20) == 3
    assert {each.get() for each in app.as_completed(results[:10], timeout=20)} == set(range(1, 11))
    assert list(app.map(lambda x: x + 1, range(50))) == list(range(1, 51))
    try:
        fail.delay("expected").get(timeout=20)
    except ValueError as error:
        assert str(error) == "expected"
    else:
        raise AssertionError("no exception")
    heard = []
    add.delay(3, 4).then(lambda result: heard.append(result.get())).get(timeout=20)
    for _ in range(1000):
        if heard:
            break
        time.sleep(0.01)
    assert heard == [7]
"""

PLAIN = "import time\n" + PROGRAM + "\nmain()\nprint('done')\n"

PATCHED = (
    "from gevent import monkey\nmonkey.patch_all()\nimport gevent, time\n"
    + PROGRAM
    + """
ticks = []

def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.001)

ticker = gevent.spawn(tick)
gevent.joinall([gevent.spawn(main) for _ in range(3)], raise_error=True)
assert len(ticks) > 5, "waiting for results has blocked the other greenlets"
print('done')
"""
)

ASYNCIO = (
    "import asyncio, time\n"
    + PROGRAM
    + """
async def program():
    assert await add.delay(1, 2) == 3
    assert await asyncio.gather(*[add.delay(i, 1) for i in range(500)]) == list(range(1, 501))
    try:
        await fail.delay("expected")
    except ValueError:
        pass
    else:
        raise AssertionError("no exception")
    heard = asyncio.get_running_loop().create_future()
    add.delay(2, 2).then(lambda result: heard.set_result(result.get()))
    assert await asyncio.wait_for(heard, 20) == 4
    await asyncio.get_running_loop().run_in_executor(None, main)

asyncio.run(program())
print('done')
"""
)

FORKED = (
    "import os, time\n"
    + PROGRAM
    + """
waiting = add.apply_async((20, 22), countdown=2)
main()
pid = os.fork()
if pid == 0:
    try:
        assert waiting.get(timeout=20) == 42  # The first thing that it does: its session knows nothing yet.
        main()
        app.close()
        os._exit(0)
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
main()
assert os.waitpid(pid, 0)[1] == 0, "the child has failed"
assert waiting.get(timeout=20) == 42
print('done')
"""
)

FIRE_AND_FORGET = """
from tests.integration.tasks import add
for i in range(2000):
    last = add.delay(i, 1)
print(last.id)
"""


def run(program: str, url: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env={**__import__("os").environ, "ACTORQ_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(PLAIN, id="plain"),
        pytest.param(PATCHED, id="patched by gevent"),
        pytest.param(ASYNCIO, id="asyncio"),
        pytest.param(FORKED, id="after a fork"),
    ],
)
def test_the_same_program_works_everywhere(shared_app: ActorQ, program: str) -> None:
    assert run(program, shared_app.url) == "done"


def test_calls_are_sent_before_a_program_ends_that_does_not_wait_for_them(shared_app: ActorQ) -> None:
    last = run(FIRE_AND_FORGET, shared_app.url)
    assert shared_app.AsyncResult(last).get(timeout=20) == 2000
