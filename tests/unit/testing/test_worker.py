"""`start_worker`, where nothing is started. (What it starts is in test_plugin.)"""

from __future__ import annotations

import pytest

from actorq import ActorQ
from actorq.errors import ImproperlyConfigured
from actorq.testing import mesh
from actorq.testing.worker import start_worker


def test_arguments_that_nobody_knows_are_errors() -> None:
    app = ActorQ(url="tcp://127.0.0.1:1")
    with pytest.raises(ImproperlyConfigured, match="did you mean 'concurrency'"), start_worker(app, concurency=2):
        pass
    assert app.url == "tcp://127.0.0.1:1"


def test_it_does_not_take_the_place_of_a_mesh_in_the_process() -> None:
    app = ActorQ(url="tcp://127.0.0.1:1")
    with mesh(app), pytest.raises(ImproperlyConfigured, match="in this process"), start_worker(app):
        pass
