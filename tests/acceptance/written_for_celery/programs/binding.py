import sys
import time
from pathlib import Path

from celery import Task
from proj.celery import app
from proj.tasks import add, break_rows, dump_context, process_rows

result = dump_context.delay(1, y=2)
assert result.get(timeout=10) == [result.id, [1], {"y": 2}, False, "proj.tasks.dump_context"]
assert isinstance(add, Task) and app.tasks["proj.tasks.add"] is add

# One instance of the base class lives as long as its worker process.
values = [process_rows.delay().get(timeout=10) for _ in range(3)]
assert values == sorted(set(values)), values

out = Path(sys.argv[1])


def lines(path, count):
    for _ in range(500):
        if path.exists() and len(path.read_text().splitlines()) == count:
            return path.read_text().splitlines()
        time.sleep(0.02)
    raise AssertionError(path.read_text() if path.exists() else path)


good = process_rows.delay(path=str(out / "good"))
value = good.get(timeout=10)
assert lines(out / "good", 2) == [f"success {value} {good.id}", f"after SUCCESS {good.id}"]
bad = break_rows.delay(path=str(out / "bad"))
assert isinstance(bad.get(timeout=10, propagate=False), ValueError)
assert lines(out / "bad", 2) == [f"failure ValueError('no rows') {bad.id}", f"after FAILURE {bad.id}"]
