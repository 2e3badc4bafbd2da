from proj.celery import app
from proj.tasks import import_feed

assert import_feed.delay("http://cnn.com/rss").get(timeout=10) == "feeds"
assert import_feed.apply_async(args=["http://cnn.com/rss"], queue="default").get(timeout=10) == "default"
assert import_feed.apply_async(args=["x"], queue="feeds", routing_key="feeds").get(timeout=10) == "feeds"
assert app.conf.task_routes["proj.tasks.import_feed"] == {"queue": "feeds"}
assert app.conf.task_serializer == "json"
assert str(app.conf.timezone) == "Europe/Oslo"
