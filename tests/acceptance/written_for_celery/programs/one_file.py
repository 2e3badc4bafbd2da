"""The first program of every tutorial, on a mesh that it embeds."""

from celery import Celery

app = Celery("one_file", broker="local://?processes=1", backend="rpc://")
app.conf.update(task_serializer="json", result_expires=3600)


@app.task
def add(x, y):
    return x + y


@app.task(bind=True)
def retried(self):
    if self.request.retries < 1:
        raise self.retry(countdown=0)
    return self.request.retries


if __name__ == "__main__":
    assert add.delay(4, 4).get(timeout=20) == 8
    assert retried.delay().get(timeout=20) == 1
    assert (add.s(1, 1) | add.s(2)).delay().get(timeout=20) == 4
