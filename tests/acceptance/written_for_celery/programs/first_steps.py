from proj.tasks import add

result = add.delay(4, 4)
assert result.get(timeout=10) == 8
assert result.ready() and result.successful() and not result.failed()
assert result.state == result.status == "SUCCESS"
assert add(2, 2) == 4
assert add.name == "proj.tasks.add"
assert add.apply(args=(2, 3)).get() == 5
assert add.apply_async((2, 2)).get() == 4
assert add.apply_async(args=[2], kwargs={"y": 5}).get(timeout=10) == 7
