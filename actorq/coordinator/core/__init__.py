"""The coordinator's decisions, without I/O: fed messages and the time, it returns effects.

core.advance(now_s, wall_s)          the time of this batch
core.receive(peer, message)          for each message, in order
core.lose(peer)                      for each session that ended
core.persisted(token)                for each batch of operations that the store has made durable
effects = core.finish()              dispatch, and everything that is to be sent and stored
"""

from actorq.coordinator.core.effects import Effects
from actorq.coordinator.core.machine import Coordinator

__all__ = ["Coordinator", "Effects"]
