"""Numbered ids."""

from __future__ import annotations

from actorq.policies.numbering import block_of, numbered_ids


def test_no_two_ids_are_alike() -> None:
    sources = [numbered_ids(letter * 16) for letter in "ab"]
    assert len({source() for source in sources for _ in range(1000)}) == 2000


def test_ids_made_one_after_another_are_neighbours() -> None:
    source, stranger = numbered_ids("a" * 16), numbered_ids("b" * 16)
    blocks = [block_of(source()) for _ in range(4097)]
    assert len(set(blocks[:4096])) == 1 and blocks[4096] != blocks[0]
    assert block_of(stranger()) not in blocks


def test_an_id_of_another_form_has_no_block_of_its_own() -> None:
    assert {block_of(each) for each in ("", "a", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "order-2030-01-31")} == {""}
