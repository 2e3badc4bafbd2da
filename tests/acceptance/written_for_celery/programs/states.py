import time

from celery import states
from celery.result import AsyncResult
from proj.celery import app
from proj.tasks import add, sleep

result = add.apply_async((1, 1), countdown=2)
assert result.state not in states.READY_STATES and not result.ready() and result.result is None
assert result.get(timeout=20) == 2 and result.state == states.SUCCESS

result = sleep.delay(3)
for _ in range(500):
    if result.state == states.STARTED and result.info:
        break
    time.sleep(0.02)
else:
    raise AssertionError(result.state)
assert "pid" in result.info and "hostname" in result.info, result.info
assert result.get(timeout=20) == 3
assert result.state == states.SUCCESS and result.info == 3

again = AsyncResult(result.id, app=app)
assert again == result and again.get(timeout=10) == 3 and again.state == "SUCCESS"
assert app.AsyncResult(result.id).get(timeout=10) == 3
assert add.AsyncResult(result.id).result == 3
again.forget()
