import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from celery.exceptions import TaskRevokedError
from proj.tasks import add, fail, on_chord_error, sleep, write

out = Path(sys.argv[1])


def lines(path):
    for _ in range(500):
        if path.exists():
            return path.read_text().splitlines()
        time.sleep(0.02)
    raise AssertionError(f"nothing was written to {path}")


# countdown
started = time.time()
assert add.apply_async((2, 2), countdown=1).get(timeout=10) == 4
assert time.time() - started >= 1

# the ETA of tomorrow
tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
result = add.apply_async((2, 2), eta=tomorrow)
assert not result.ready()
result.revoke()
try:
    result.get(timeout=10)
except TaskRevokedError:
    assert result.state == "REVOKED"
else:
    raise AssertionError("no TaskRevokedError")

# a call that comes too late
result = add.apply_async((2, 2), countdown=1, expires=0.2)
try:
    result.get(timeout=10)
except TaskRevokedError as exc:
    assert "expired" in str(exc)
else:
    raise AssertionError("no TaskRevokedError")
assert add.apply_async((10, 10), expires=datetime.now(timezone.utc) + timedelta(days=1)).get(timeout=10) == 20

# links
result = add.apply_async((2, 2), link=[add.s(16), write.s(str(out / "linked"))])
assert result.get(timeout=10) == 4
assert lines(out / "linked") == ["4"]
assert [child.get(timeout=10) for child in result.children] == [20, None]
result = fail.apply_async(
    ("x",), link_error=[on_chord_error.s(str(out / "error")), write.si("second", str(out / "second"))]
)
assert isinstance(result.get(timeout=10, propagate=False), KeyError)
assert lines(out / "error") == [f"Task {result.id!r} raised error: KeyError('x')"]
assert lines(out / "second") == ["second"]

# publishing
assert add.apply_async((2, 2), retry=False).get(timeout=10) == 4
policy = {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
assert add.apply_async((2, 2), retry=True, retry_policy=policy).get(timeout=10) == 4
assert add.apply_async((2, 2), task_id="my-own-id").id == "my-own-id"
assert add.apply_async((2, 2), queue="feeds", priority=6, serializer="json", compression="zlib").get(timeout=10) == 4
result = sleep.apply_async((0,), ignore_result=True)
assert result.get() is None
