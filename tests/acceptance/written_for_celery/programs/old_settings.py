"""Settings as they were called before Celery 4, from an object."""

import os

from celery import Celery


class Config:
    BROKER_URL = os.environ["BROKER_URL"]
    CELERY_RESULT_BACKEND = "rpc://"
    CELERY_TASK_SERIALIZER = "json"
    CELERY_RESULT_SERIALIZER = "json"
    CELERY_ACCEPT_CONTENT = ["json"]
    CELERY_ENABLE_UTC = True
    CELERY_DEFAULT_QUEUE = "feeds"
    CELERY_ROUTES = {"proj.tasks.import_feed": {"queue": "default"}}
    CELERYD_TASK_TIME_LIMIT = 300


app = Celery("old")
app.config_from_object(Config)
assert app.conf.task_default_queue == "feeds" and app.conf.task_time_limit == 300
assert app.send_task("proj.tasks.add", (2, 2)).get(timeout=10) == 4
assert app.send_task("proj.tasks.import_feed", ("x",)).get(timeout=10) == "default"
assert app.send_task("web.whoami").get(timeout=10) == ["web.whoami", "feeds"]

app = Celery("eager")
app.conf.task_always_eager = True


@app.task
def add(x, y):
    return x + y


result = add.delay(2, 2)
assert result.get() == 4 and result.state == "SUCCESS"
