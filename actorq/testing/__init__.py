"""For tests of programs that use actorq: a mesh in the test's own process and thread, and a pytest plugin.

    with actorq.testing.mesh(app) as mesh:
        result = send_invoice.apply_async((7,), countdown=3600)
        mesh.run_until_idle()
        assert not result.ready()
        mesh.clock.advance(3600)
        assert result.get() == "sent"

`mesh` needs no other process, no socket and no real time. `actorq.testing.worker.start_worker` starts a real worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorq.testing.clock import Clock
    from actorq.testing.inprocess import Mesh, Submitted, mesh
    from actorq.testing.scheduler import WouldWaitForEver

__all__ = ["Clock", "Mesh", "Submitted", "WouldWaitForEver", "mesh"]

_HOMES = {
    "Clock": "actorq.testing.clock",
    "Mesh": "actorq.testing.inprocess",
    "Submitted": "actorq.testing.inprocess",
    "WouldWaitForEver": "actorq.testing.scheduler",
    "mesh": "actorq.testing.inprocess",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and not before: pytest loads the plugin in every run, also where nothing of this is used."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'actorq.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)
