"""The worker's decisions, without I/O: which leases it holds, what it reports and to whom, how much it asks for.

    core.dialled(address, peer)          a connection is being opened, as `Effects.dial` has asked
    core.opened(peer)                    the connection is up
    core.receive(peer, message)          for each message, in order
    core.lose(peer)                      the connection is gone
    core.ended(outcomes)                 calls that the pool has finished
    effects = core.finish()              what is to be dialled, sent and ended

`directory` knows where the coordinators are, a `Session` is what is between this node and one of them, `Leases` what
the node holds from all of them, `credit` how its slots are shared between them.
"""

from actorq.worker.core.effects import Effects, Peer, ReplyTo
from actorq.worker.core.leases import FORGOTTEN, Leases
from actorq.worker.core.machine import Worker
from actorq.worker.core.session import Session

__all__ = ["FORGOTTEN", "Effects", "Leases", "Peer", "ReplyTo", "Session", "Worker"]
