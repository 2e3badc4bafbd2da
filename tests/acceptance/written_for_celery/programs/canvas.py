from celery import chain, chord, chunks, group, signature
from celery.canvas import Signature
from celery.exceptions import ChordError
from proj.celery import app
from proj.shared import mul
from proj.tasks import add, expand, fail, xsum

# signatures and partials
assert add.signature((2, 2), countdown=0).delay().get(timeout=10) == 4
assert add.s(2).delay(8).get(timeout=10) == 10
assert signature("proj.tasks.add", args=(2, 2), countdown=0, app=app).delay().get(timeout=10) == 4
assert isinstance(add.s(2, 2), Signature)
assert add.s(2, 2)() == 4
assert add.si(2, 2).apply_async().get(timeout=10) == 4

# groups
result = group(add.s(i, i) for i in range(10)).apply_async()
assert result.get(timeout=10) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
assert result.ready() and result.successful() and not result.failed() and not result.waiting()
assert result.completed_count() == 10
assert len(result) == 10
assert group(add.s(i) for i in range(3))(10).get(timeout=10) == [10, 11, 12]
assert group([add.s(2, 2), add.s(4, 4)]).delay().join() == [4, 8]

# chains
res = chain(add.s(2, 2), add.s(4), add.s(8))()
assert res.get(timeout=10) == 16
assert res.parent.get(timeout=10) == 8
assert res.parent.parent.get(timeout=10) == 4
assert (add.s(2, 2) | add.s(4) | add.s(8))().get(timeout=10) == 16
assert (add.s(4) | mul.s(8)).delay(4).get(timeout=10) == 64
assert (add.si(2, 2) | add.si(4, 4) | add.si(8, 8))().get(timeout=10) == 16
assert [(str(r), v) for r, v in res.parent.parent.collect()][0] == (res.parent.parent.id, 4)

# chords
assert chord((add.s(i, i) for i in range(100)), xsum.s())().get(timeout=10) == 9900
assert chord(add.s(i, i) for i in range(100))(xsum.s()).get(timeout=10) == 9900
header = [add.s(i, i) for i in range(10)]
assert chord(header)(xsum.s()).get(timeout=10) == 90
c3 = group(add.s(i, i) for i in range(10)) | xsum.s()
assert c3().get(timeout=10) == 90

# nested
new_user_workflow = add.s(2, 2) | group(add.s(i) for i in range(4)) | xsum.s() | mul.s(2)
assert new_user_workflow().get(timeout=10) == 44
nested = chord([chord([add.s(i, j) for j in range(3)], xsum.s()) for i in range(3)], xsum.s())
assert nested.apply_async().get(timeout=10) == 18
assert group(chain(add.s(i, i), mul.s(2)) for i in range(3))().get(timeout=10) == [0, 4, 8]
assert (group(add.s(1, 1), group(add.s(2, 2), add.s(3, 3))) | xsum.s()).delay().get(timeout=10) == 12

# a chord whose header fails
result = chord([add.s(4, 4), fail.s("x"), add.s(8, 8)])(xsum.s())
try:
    result.get(timeout=10)
except ChordError as exc:
    assert "raised KeyError('x')" in str(exc), str(exc)
else:
    raise AssertionError("no ChordError")

# map, starmap and chunks
assert xsum.map([list(range(10)), list(range(100))]).delay().get(timeout=10) == [45, 4950]
assert add.starmap(zip(range(3), range(3))).apply_async().get(timeout=10) == [0, 2, 4]
assert add.chunks(zip(range(100), range(100)), 10)().get(timeout=10)[1] == [20, 22, 24, 26, 28, 30, 32, 34, 36, 38]
assert chunks(add.s(), [(1, 1), (2, 2)], 1)().get(timeout=10) == [[2], [4]]

# replacing, freezing, serialising
assert expand.delay(4).get(timeout=10) == 6
sig = chain(add.s(1, 1), add.s(1))
assert signature(dict(sig), app=app).apply_async().get(timeout=10) == 3
frozen = add.s(1, 2)
frozen.freeze("frozen-id")
assert frozen.apply_async().id == "frozen-id"
