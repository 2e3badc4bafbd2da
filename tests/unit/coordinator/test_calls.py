"""The table of calls that have not settled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorq.coordinator.core.calls import Calls
from actorq.policies.numbering import FIRST_NUMBER, numbered_ids
from actorq.wire.records import Call

ids = st.one_of(
    st.builds("{}-{:x}".format, st.sampled_from(["a" * 16, "b" * 16]), st.integers(FIRST_NUMBER, FIRST_NUMBER + 9000)),
    st.text(max_size=40),
    st.uuids().map(str),
)


@given(st.lists(st.tuples(ids, st.booleans()), max_size=100))
def test_it_is_a_dictionary_whatever_the_ids_are(steps: list[tuple[str, bool]]) -> None:
    calls, model = Calls(), dict[str, Call]()
    for task_id, is_added in steps:
        if task_id in model and not is_added:
            calls.remove(model.pop(task_id))
        elif task_id not in model and is_added:
            model[task_id] = Call(task_id, 1, b"")
            calls.add(model[task_id])
        assert calls.get(task_id) is model.get(task_id)
        assert (task_id in calls) == (task_id in model)
        assert len(calls) == len(model)
    assert {call.id: call for call in calls} == model
    assert all(calls.get(task_id) is call for task_id, call in model.items())


def test_neighbours_share_a_block_and_nothing_is_left_when_all_have_gone() -> None:
    calls, new_id = Calls(), numbered_ids("c" * 16)
    many = [Call(new_id(), 1, b"") for _ in range(10_000)]
    for call in many:
        calls.add(call)
    assert len(calls._blocks) == 3
    for call in many:
        calls.remove(call)
    assert len(calls) == 0
    assert not calls._blocks
