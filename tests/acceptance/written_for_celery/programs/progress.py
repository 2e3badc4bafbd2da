from proj.tasks import hello, positional_state

seen = []


def on_raw_message(body):
    seen.append(body)


r = hello.apply_async(args=(2, 3))
assert r.get(on_message=on_raw_message, propagate=False, timeout=10) == "hello world: 5"
for body in seen:
    assert set(body) == {"task_id", "status", "result", "traceback", "children"}, body
    assert body["task_id"] == r.id
assert [body for body in seen if body["status"] != "STARTED"] == [
    {"task_id": r.id, "status": "PROGRESS", "result": {"progress": 50}, "traceback": None, "children": []},
    {"task_id": r.id, "status": "PROGRESS", "result": {"progress": 90}, "traceback": None, "children": []},
    {"task_id": r.id, "status": "SUCCESS", "result": "hello world: 5", "traceback": None, "children": []},
], seen
assert positional_state.delay().get(timeout=10) == "done"
