"""Topic and header patterns say the same as their definitions, read word by word."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from actorq.policies.routing import headers_match, topic_matches

WORD = st.sampled_from(["a", "b", "ab", "", "x.y"[0]])
KEYS = st.lists(WORD, min_size=1, max_size=6).map(".".join)
PATTERNS = st.lists(st.one_of(WORD, st.sampled_from(["*", "#"])), min_size=1, max_size=6).map(".".join)
HEADERS = st.dictionaries(st.sampled_from("abc"), st.sampled_from([1, 2, "x"]), max_size=3)


def defined(pattern: Sequence[str], key: Sequence[str]) -> bool:
    """The definition: ``*`` takes one word, ``#`` none or more."""
    if not pattern:
        return not key
    head, rest = pattern[0], pattern[1:]
    if head == "#":
        return any(defined(rest, key[taken:]) for taken in range(len(key) + 1))
    return bool(key) and head in ("*", key[0]) and defined(rest, key[1:])


def words_of(key: str) -> list[str]:
    return key.split(".") if key else []


@given(PATTERNS, KEYS)
@example("#", "")
@example("#.#", "")
@example("#.a", "a")
@example("a.#", "a")
@example("a.#.b", "a.b")
@example("#.a.#", "a")
@example("*.#.*", "a")
@example("*", "")
@example("a.#", "ab")
def test_a_topic_pattern_takes_what_its_definition_takes(pattern: str, key: str) -> None:
    assert topic_matches(pattern, key) is defined(pattern.split(".") if pattern else [], words_of(key))


@given(KEYS)
def test_a_lone_hash_takes_everything(key: str) -> None:
    assert topic_matches("#", key)


def test_dots_and_stars_of_regular_expressions_mean_nothing() -> None:
    assert not topic_matches("a.b", "axb")
    assert topic_matches("a+.(b)", "a+.(b)") and not topic_matches("a+", "aa")


@given(HEADERS, HEADERS)
def test_headers_match_all_or_any_of_what_is_asked_for(wanted: dict[str, object], given_: dict[str, object]) -> None:
    hits = [given_.get(name) == value for name, value in wanted.items()]
    assert headers_match(wanted, given_) is all(hits)
    assert headers_match({**wanted, "x-match": "all"}, given_) is all(hits)
    assert headers_match({**wanted, "x-match": "any"}, given_) is (any(hits) or not hits)
