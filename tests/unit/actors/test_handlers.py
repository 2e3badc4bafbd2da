"""Which handler gets which message, and what the class statement refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from actorq.actors import Actor, ActorSystem, handles
from actorq.errors import UnhandledMessage
from tests.unit.actors.support import only


@dataclass(frozen=True)
class Animal:
    name: str


class Dog(Animal):
    pass


class Puppy(Dog):
    pass


class Stone:
    pass


class Keeper(Actor):
    @handles(Animal)
    def keep(self, message: Animal) -> str:
        return f"animal {message.name}"

    @handles(Dog)
    def walk(self, message: Dog) -> str:
        return f"dog {message.name}"

    @handles(int, str)
    def note(self, message: int | str) -> str:
        return f"note {message}"


def test_a_message_goes_to_the_handler_of_its_type(system: ActorSystem) -> None:
    keeper = only(system, Keeper)
    assert keeper.ask(Animal("Leo")) == "animal Leo"
    assert keeper.ask(Dog("Rex")) == "dog Rex"
    assert [keeper.ask(1), keeper.ask("one")] == ["note 1", "note one"]


def test_a_message_without_a_handler_of_its_own_goes_to_that_of_its_nearest_base(system: ActorSystem) -> None:
    keeper = only(system, Keeper)
    assert [keeper.ask(Puppy("Tim")), keeper.ask(Puppy("Tom"))] == ["dog Tim", "dog Tom"]


def test_a_message_that_nobody_handles_is_an_error_that_names_actor_type_and_known_types(system: ActorSystem) -> None:
    keeper = only(system, Keeper)
    with pytest.raises(
        UnhandledMessage, match=r"actor test/only has no handler for Stone \(it handles: Animal, Dog, int"
    ):
        keeper.ask(Stone())


def test_a_message_that_nobody_handles_is_a_failure_of_the_actor(system: ActorSystem) -> None:
    keeper = only(system, Keeper)
    keeper.tell(Stone())
    assert isinstance(keeper.join(10), UnhandledMessage)


def test_a_subclass_overrides_a_handler_by_its_name_and_adds_others(system: ActorSystem) -> None:
    class Vet(Keeper):
        def walk(self, message: Dog) -> str:
            return f"patient {message.name}"

        @handles(Stone)
        def skip(self, message: Stone) -> str:
            return "no patient"

    vet = only(system, Vet)
    assert vet.ask(Dog("Rex")) == "patient Rex"
    assert vet.ask(Stone()) == "no patient"
    assert vet.ask(Animal("Leo")) == "animal Leo"


def test_an_actor_may_take_all_messages_itself(system: ActorSystem) -> None:
    class Echo(Actor):
        def receive(self, message: Any) -> Any:
            return message

    assert only(system, Echo).ask("anything") == "anything"


def test_a_type_with_two_handlers_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"Twice has two handlers for Stone: first and second\. Keep one"):

        class Twice(Actor):
            @handles(Stone)
            def first(self, message: Stone) -> None: ...

            @handles(Stone)
            def second(self, message: Stone) -> None: ...


def test_a_subclass_cannot_handle_an_inherited_type_by_another_name() -> None:
    with pytest.raises(TypeError, match="has two handlers for Dog: walk and run"):

        class Runner(Keeper):
            @handles(Dog)
            def run(self, message: Dog) -> None: ...


def no_message(self: Any) -> None: ...
def two_messages(self: Any, one: Any, other: Any) -> None: ...
async def asynchronous(self: Any, message: Any) -> None: ...
def generator(self: Any, message: Any) -> Any:
    yield message


@pytest.mark.parametrize(
    ("method", "says"),
    [
        (no_message, r"no_message must take the message as its only argument: def no_message\(self, message\)"),
        (two_messages, "two_messages must take the message"),
        (asynchronous, "asynchronous handles messages in a greenlet: make it a plain method"),
        (generator, "generator handles messages in a greenlet"),
        (property(no_message), "directly above a method; .* is a property"),
    ],
)
def test_what_cannot_be_a_handler_is_refused(method: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        handles(Stone)(method)


@pytest.mark.parametrize(
    ("mark", "says"),
    [
        (lambda: handles(), "say which messages it handles"),
        (lambda: handles(Stone()), r"@handles takes the classes of messages, and <.*Stone object.*> is not a class"),  # type: ignore[call-overload]
        (lambda: handles(list[int]), r"list\[int\] is not a class"),
    ],
)
def test_handles_takes_classes(mark: Callable[[], object], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        mark()
