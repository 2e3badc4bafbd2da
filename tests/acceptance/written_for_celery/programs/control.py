from celery.exceptions import TaskRevokedError
from proj.celery import app
from proj.tasks import sleep, slow

assert slow.delay().get(timeout=20) == "cleaned up"
replies = app.control.ping(timeout=2)
assert len(replies) == 1
result = sleep.apply_async((30,), countdown=60)
app.control.revoke(result.id)
try:
    result.get(timeout=10)
except TaskRevokedError:
    pass
else:
    raise AssertionError("no TaskRevokedError")
