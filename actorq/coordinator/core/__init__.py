"""The coordinator's decisions, without I/O: fed messages and the time, it returns effects.

core.restore(kept)                   at the start, what an earlier coordinator has kept
core.begin(now_s, wall_s)            nodes can connect from now on
core.advance(now_s, wall_s)          the time of this batch
core.receive(peer, message)          for each message, in order
core.lose(peer)                      for each session that ended
core.persisted(token)                all batches of operations up to this one are durable
core.report_trouble(reason)          the store cannot be written; empty: it can again
effects = core.finish()              dispatch, and everything that is to be sent and stored
"""

from actorq.coordinator.core.effects import Effects
from actorq.coordinator.core.machine import Coordinator

__all__ = ["Coordinator", "Effects"]
