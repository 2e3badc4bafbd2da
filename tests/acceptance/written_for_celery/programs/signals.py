import sys
import time
from pathlib import Path

from celery.signals import after_task_publish, before_task_publish
from proj.tasks import add, fail, signalled

out = Path(sys.argv[1])
published = []


@before_task_publish.connect(sender="proj.tasks.add")
def about_to_publish(sender=None, headers=None, body=None, **kwargs):
    published.append(("before", sender, headers["id"], body[0]))


@after_task_publish.connect
def task_sent_handler(sender=None, headers=None, body=None, **kwargs):
    info = headers if "task" in headers else body
    published.append(("after", sender, info["id"]))


result = add.delay(1, 2)
assert result.get(timeout=10) == 3
assert published == [("before", "proj.tasks.add", result.id, (1, 2)), ("after", "proj.tasks.add", result.id)], published


def lines(path, count):
    for _ in range(500):
        if path.exists() and len(path.read_text().splitlines()) == count:
            return path.read_text().splitlines()
        time.sleep(0.02)
    raise AssertionError(path.read_text() if path.exists() else path)


path = out / "signals"
result = signalled.delay(str(path))
assert result.get(timeout=10) == "value"
assert lines(path, 3) == [f"prerun proj.tasks.signalled {result.id}", "success value", "postrun SUCCESS value"]
path = out / "failures"
fail.delay(str(path)).get(timeout=10, propagate=False)
assert lines(path, 1) == [f"failure KeyError('{path}')"]
