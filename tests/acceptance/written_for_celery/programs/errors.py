from celery.exceptions import TimeoutError
from celery.result import AsyncResult
from proj.celery import app
from proj.tasks import add, fail, sleep

result = fail.delay("lost")
try:
    result.get(timeout=10)
except KeyError as exc:
    assert exc.args == ("lost",)
else:
    raise AssertionError("no KeyError")
assert result.failed() and result.state == "FAILURE"
assert isinstance(result.get(propagate=False), KeyError)
assert isinstance(result.result, KeyError)
assert "raise KeyError(message)" in result.traceback

try:
    add.delay(1)
except TypeError:
    pass
else:
    raise AssertionError("no TypeError")

late = sleep.delay(30)
try:
    late.get(timeout=0.1)
except TimeoutError:
    late.revoke(terminate=True)
else:
    raise AssertionError("no TimeoutError")

assert AsyncResult("no-such-id", app=app).state == "PENDING"
