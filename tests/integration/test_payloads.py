"""Arguments and results in every format and compression, through a real mesh."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from actorq import ActorQ
from actorq.errors import ContentDisallowed, DecodeError, ImproperlyConfigured
from tests.integration import payload_tasks as tasks
from tests.integration.mesh import wait_for_workers
from tests.support import NodeProcess, Nodes, eventually, free_address

APP = "tests.integration.payload_tasks"
WAIT_S = 30.0
LONG = "a text that says the same again and again, " * 10_000


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """The worker of a mesh to which the application is connected."""
    with Nodes(tmp_path_factory.mktemp("mesh")) as nodes:
        address = free_address()
        nodes.start("coordinator", "--listen", address)
        node = nodes.start("worker", "-A", APP, "-u", address, "-c", "4", "--loglevel", "INFO")
        with tasks.app as app:
            app.url = address
            wait_for_workers(app, 1)
            yield node


@pytest.fixture
def app(worker: NodeProcess) -> ActorQ:
    return tasks.app


@pytest.mark.parametrize("serializer", ["msgpack", "json", "yaml", "own", "application/json", "application/x-own"])
@pytest.mark.parametrize("compression", [None, "gzip", "application/x-bz2", "zlib", "lzma", "zstd"])
def test_values_come_back(app: ActorQ, serializer: str, compression: str | None) -> None:
    for value in [1, LONG]:
        result = tasks.echo.apply_async(([value],), serializer=serializer, compression=compression)
        assert result.get(timeout=WAIT_S) == [value]
    outcome = result.outcome
    assert outcome is not None and ("+" in outcome.content) == bool(compression)
    assert (len(outcome.body) < len(LONG) / 10) == bool(compression)


def test_json_carries_what_is_registered_with_it(app: ActorQ) -> None:
    values = [tasks.Point(3), date(2024, 2, 29), b"bytes", "text"]
    result = tasks.kinds_of.apply_async((values,), serializer="json")
    assert result.get(timeout=WAIT_S) == ["Point", "date", "bytes", "str"]
    back = tasks.echo.apply_async((tasks.Point(3),), serializer="json").get(timeout=WAIT_S)
    assert isinstance(back, tasks.Point) and back.x == 3


@pytest.mark.parametrize("serializer", ["pickle", "cloudpickle"])
def test_a_pickle_is_refused_where_it_is_not_listed(app: ActorQ, serializer: str) -> None:
    with pytest.raises(ContentDisallowed, match=f"'{serializer}' is not accepted here"):
        tasks.echo.apply_async((1,), serializer=serializer).get(timeout=WAIT_S)


def test_an_unknown_name_is_refused_in_the_caller(app: ActorQ) -> None:
    with pytest.raises(ImproperlyConfigured, match="did you mean 'gzip'"):
        tasks.echo.apply_async((1,), compression="gzpi")
    with pytest.raises(ImproperlyConfigured, match="did you mean 'yaml'"):
        tasks.echo.apply_async((1,), serializer="yml")


def test_what_cannot_be_decompressed_fails_its_call_and_nothing_else(app: ActorQ) -> None:
    with pytest.raises(DecodeError, match="not a msgpack payload"):
        tasks.echo.apply_async((LONG,), compression="bad").get(timeout=WAIT_S)
    assert tasks.echo.delay(1).get(timeout=WAIT_S) == 1


def test_the_application_may_have_a_compression_for_all_calls(app: ActorQ) -> None:
    app.serializers.task_compression = "gzip"
    try:
        result = app.send_task(tasks.echo.name, (LONG,))
        assert result.get(timeout=WAIT_S) == LONG
        assert result.outcome is not None and result.outcome.content == "msgpack+gzip"
    finally:
        app.serializers.task_compression = ""


# -- secret arguments ------------------------------------------------------------------------------------------------

CARD = "4111-1111-1111-1111"


def test_secret_arguments_stand_in_no_log(app: ActorQ, worker: NodeProcess) -> None:
    assert tasks.pay.delay(CARD).get(timeout=WAIT_S) == CARD
    with pytest.raises(ValueError, match=CARD):  # Its caller sees all.
        tasks.pay.delay(CARD, fails=True).get(timeout=WAIT_S)
    worker.wait_for_output("ValueError(<hidden>)")
    assert "<hidden>\n" in worker.output() and CARD not in worker.output()


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, ([60], {"card": CARD})),
        ({"sensitive": True}, ("<hidden>", "<hidden>")),
        ({"argsrepr": "(…)", "kwargsrepr": "{'card': '…'}"}, ("(…)", "{'card': '…'}")),
        ({"kwargsrepr": "{'card': '…'}", "serializer": "json", "compression": "gzip"}, ([60], "{'card': '…'}")),
    ],
    ids=["as they are", "sensitive", "both", "keywords"],
)
def test_inspection_shows_of_arguments_what_it_may(
    app: ActorQ, options: dict[str, str], shown: tuple[object, object]
) -> None:
    result = tasks.hold.apply_async((60,), {"card": CARD}, **options)

    def active() -> list[tuple[object, object]]:
        replies = app.control.inspect(timeout=5.0).active()
        calls = [call for each in replies.values() for call in each if call["id"] == result.id]
        return [(call["args"], call["kwargs"]) for call in calls]

    assert eventually(active, what="a call that runs") == [shown]
    result.revoke(terminate=True)
