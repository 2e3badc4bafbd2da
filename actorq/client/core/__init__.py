"""The client's decisions, without I/O: which coordinator to talk to, what to send, what to send again, what to ask.

    core.dialled(peer)                   a connection is being opened, as `Effects.dial` has asked
    core.opened(peer)                    the connection is up
    core.receive(peer, message)          for each message of the coordinator, in order
    core.settled(outcomes)               outcomes that came from workers
    core.lose(peer)                      the connection is gone
    effects = core.finish()              what is to be dialled, sent and answered

`questions` has what the program asks, `awaited` the calls that are asked for as their outcomes have not come.
"""

from actorq.client.core.machine import Client, Effects
from actorq.client.core.questions import Ask, LookUp, Order, Request, Watch

__all__ = ["Ask", "Client", "Effects", "LookUp", "Order", "Request", "Watch"]
