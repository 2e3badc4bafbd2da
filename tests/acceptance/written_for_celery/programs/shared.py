from celery import current_app
from proj.celery import app
from proj.shared import mul, whoami

assert mul.delay(6, 7).get(timeout=10) == 42
assert mul.name == "proj.shared.mul" and mul.app is app
assert current_app.main == "proj"
assert whoami.delay().get(timeout=10) == ["web.whoami", "feeds"]
