"""Actors: state behind a mailbox, one message at a time, each in a greenlet of its own, under supervision.

Read in this order: `actor` (what users derive from), `ref` (what others hold of it), `mailbox`, `cell` (the life of one
actor), `supervisor`, `system`. It needs gevent but no monkey-patching, and works on the hub of any native thread.
"""

from __future__ import annotations

from actorq.actors.actor import Actor
from actorq.actors.handlers import handles
from actorq.actors.mailbox import MailboxSettings, Overflow
from actorq.actors.reasons import Ended, Reason
from actorq.actors.ref import ActorRef, Down, Exited
from actorq.actors.reply import Reply
from actorq.actors.spec import ChildSpec, Restart
from actorq.actors.supervisor import ListChildren, StartChild, StopChild, Strategy, Supervisor
from actorq.actors.system import ActorSystem
from actorq.actors.timers import Timer

__all__ = [
    "Actor",
    "ActorRef",
    "ActorSystem",
    "ChildSpec",
    "Down",
    "Ended",
    "Exited",
    "ListChildren",
    "MailboxSettings",
    "Overflow",
    "Reason",
    "Reply",
    "Restart",
    "StartChild",
    "StopChild",
    "Strategy",
    "Supervisor",
    "Timer",
    "handles",
]
