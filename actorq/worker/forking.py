"""What a task's process may fork: a child in which only the task that has forked goes on.

gevent copies its hub into a forked child, with all greenlets: there, the node's other calls, its link and its actors
would go on a second time. So the child gets a hub of its own, with nothing on it but the greenlet that has forked.
"""

from __future__ import annotations

import os
import signal

from gevent._hub_local import get_hub_if_exists, set_hub, set_loop  # No public way: `Hub.destroy` runs the hub first.

from actorq.worker.base import Pool


def protect_children(pool: Pool, handled: tuple[signal.Signals, ...]) -> None:
    """From now on, in each child that is forked off: leave hub and pool behind, and `handled` signals to the system."""
    masks: list[set[signal.Signals | int]] = []

    def before() -> None:
        # A signal that comes to the child at once must find the system's handler there and not the node's.
        masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, handled))

    def in_parent() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop())

    def in_child() -> None:
        hub = get_hub_if_exists()
        set_hub(None)
        set_loop(None)
        if hub is not None:
            hub.loop.destroy()  # Nothing switches to the old hub any more. (Its loop would be the new one's, too.)
        pool.leave_to_parent()
        for number in handled:
            signal.signal(number, signal.SIG_DFL)
        in_parent()

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)
