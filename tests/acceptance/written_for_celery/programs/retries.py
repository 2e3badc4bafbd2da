import sys
from pathlib import Path

from celery.exceptions import MaxRetriesExceededError
from proj.tasks import automatic, flaky, hopeless

assert flaky.delay(2).get(timeout=20) == 2
assert automatic.delay(4).get(timeout=20) == 4
path = Path(sys.argv[1]) / "tries"
try:
    hopeless.delay(str(path)).get(timeout=20)
except MaxRetriesExceededError:
    assert path.read_text() == "tried\n" * 3
else:
    raise AssertionError("no MaxRetriesExceededError")

seen = []
result = flaky.delay(1)
assert result.get(timeout=20, on_message=seen.append) == 1
assert seen[-1]["status"] == "SUCCESS" and {body["status"] for body in seen} <= {"RETRY", "STARTED", "SUCCESS"}
try:
    flaky.delay(9).get(timeout=20)
except ConnectionError as exc:
    assert exc.args == ("not yet",)
else:
    raise AssertionError("no ConnectionError")
