import time

from celery import Task
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.signals import task_failure, task_postrun, task_prerun, task_success
from celery.utils.log import get_task_logger

from .celery import app

logger = get_task_logger(__name__)


@app.task
def add(x, y):
    logger.info("Adding %s + %s", x, y)
    return x + y


@app.task
def xsum(numbers):
    return sum(numbers)


@app.task
def fail(message):
    raise KeyError(message)


@app.task
def write(text, path):
    with open(path, "a") as file:
        file.write(f"{text}\n")


@app.task
def on_chord_error(request, exc, traceback, path):
    with open(path, "a") as file:
        file.write(f"Task {request.id!r} raised error: {exc!r}\n")


@app.task(bind=True)
def hello(self, a, b):
    time.sleep(0.1)
    self.update_state(state="PROGRESS", meta={"progress": 50})
    time.sleep(0.1)
    self.update_state(state="PROGRESS", meta={"progress": 90})
    return "hello world: %i" % (a + b)


@app.task(bind=True)
def positional_state(self):
    self.update_state(self.request.id, "PROGRESS", {"progress": 50})
    return "done"


@app.task
def sleep(seconds):
    time.sleep(seconds)
    return seconds


@app.task(bind=True, default_retry_delay=0)
def flaky(self, needed):
    if self.request.retries < needed:
        try:
            raise ConnectionError("not yet")
        except ConnectionError as exc:
            raise self.retry(exc=exc)
    return self.request.retries


@app.task(bind=True, max_retries=2)
def hopeless(self, path):
    write.run("tried", path)
    raise self.retry(countdown=0)


@app.task(
    autoretry_for=(OSError,), retry_kwargs={"max_retries": 5}, retry_backoff=False, default_retry_delay=0, bind=True
)
def automatic(self, needed):
    if self.request.retries < needed:
        raise OSError("again")
    return self.request.retries


class DatabaseTask(Task):
    _db = None

    @property
    def db(self):
        if self._db is None:
            self._db = {"connections": 0}
        self._db["connections"] += 1
        return self._db

    def on_success(self, retval, task_id, args, kwargs):
        if kwargs.get("path"):
            write.run(f"success {retval} {task_id}", kwargs["path"])

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        write.run(f"failure {exc!r} {task_id}", kwargs["path"])

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        if kwargs.get("path"):
            write.run(f"after {status} {task_id}", kwargs["path"])


@app.task(base=DatabaseTask, bind=True)
def process_rows(self, path=None):
    return self.db["connections"]


@app.task(base=DatabaseTask)
def break_rows(path=None):
    raise ValueError("no rows")


@app.task(bind=True)
def dump_context(self, x, y):
    return [self.request.id, list(self.request.args), self.request.kwargs, self.request.called_directly, self.name]


@app.task(bind=True)
def import_feed(self, url):
    return self.request.delivery_info["routing_key"]


@app.task(bind=True, acks_late=True)
def ignored(self):
    self.update_state(state="FOO", meta={"why": "not mine"})
    raise Ignore()


@app.task
def rejected():
    raise Reject("no", requeue=False)


@app.task(soft_time_limit=0.2)
def slow():
    try:
        time.sleep(30)
    except SoftTimeLimitExceeded:
        return "cleaned up"


@app.task(bind=True)
def expand(self, n):
    raise self.replace(xsum.s(list(range(n))))


@app.task
def signalled(path):
    return "value"


@task_prerun.connect(sender=signalled)
def before(sender=None, task_id=None, task=None, args=None, kwargs=None, **kw):
    write.run(f"prerun {task.name} {task_id}", args[0])


@task_success.connect(sender=signalled)
def succeeded(sender=None, result=None, **kw):
    write.run(f"success {result}", sender.request.args[0])


@task_postrun.connect(sender=signalled)
def after(sender=None, task_id=None, task=None, args=None, kwargs=None, retval=None, state=None, **kw):
    write.run(f"postrun {state} {retval}", args[0])


@task_failure.connect(sender=fail)
def failed(sender=None, task_id=None, exception=None, args=None, kwargs=None, traceback=None, einfo=None, **kw):
    if args[0].startswith("/"):
        write.run(f"failure {exception!r}", args[0])
