import os

from celery import Celery, signature
from celery.result import AsyncResult, ResultSet

# A program that has none of the tasks' code.
app = Celery("elsewhere", broker=os.environ["BROKER_URL"], backend="rpc://")
app.conf.update(task_serializer="json", accept_content=["json"])
result = app.send_task("proj.tasks.add", args=[2, 2], kwargs={})
assert result.get(timeout=10) == 4
assert app.signature("proj.tasks.add", args=(3, 3)).delay().get(timeout=10) == 6
assert signature("proj.tasks.add", (4, 4)).delay().get(timeout=10) == 8
results = ResultSet([app.send_task("proj.tasks.add", (i, i)) for i in range(5)])
assert results.get(timeout=10) == [0, 2, 4, 6, 8]
assert results.successful() and results.completed_count() == 5
results.add(app.send_task("proj.tasks.add", (5, 5)))
assert results.join(timeout=10)[-1] == 10
assert AsyncResult(result.id).get(timeout=10) == 4
chained = signature("proj.tasks.add", (1, 1), app=app) | signature("proj.tasks.add", (1,), app=app)
assert chained.delay().get(timeout=10) == 3
