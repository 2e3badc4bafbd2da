import os

CELERY_BROKER_URL = os.environ["BROKER_URL"]
CELERY_RESULT_BACKEND = "rpc://"
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_TRACK_STARTED = True
CELERY_TIMEZONE = "Europe/Oslo"
CELERY_TASK_ROUTES = {
    "proj.tasks.import_feed": {"queue": "feeds"},
    "web.*": "feeds",
}
