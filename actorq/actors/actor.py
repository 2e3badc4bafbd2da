"""What users derive their actors from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from actorq.actors.handlers import handler_names
from actorq.actors.mailbox import Mailbox
from actorq.actors.reasons import Ended, Reason, describe
from actorq.actors.ref import ActorRef
from actorq.actors.reply import Reply
from actorq.actors.signals import Exit, Link, Stop, Unlink
from actorq.actors.timers import Timer, Timers
from actorq.errors import ActorStopped, UnhandledMessage


class Context:
    """What the runtime keeps for one incarnation of an actor."""

    __slots__ = ("asked", "deferred", "ended", "incarnation", "links", "mailbox", "ref", "timers")

    def __init__(self, incarnation: int, ref: ActorRef, mailbox: Mailbox, timers: Timers) -> None:
        self.incarnation = incarnation
        self.ref = ref
        self.mailbox = mailbox
        self.timers = timers
        self.links: set[Mailbox] = set()
        self.asked: Reply | None = None
        """The reply to the message that is being handled, if it was an ask and the answer is not deferred."""
        self.deferred: set[Reply] = set()
        self.ended = False

    def end(self, reason: Reason) -> None:
        """Cancel, answer and unlink all that would wait for this incarnation. Never waits itself."""
        self.ended = True
        self.timers.cancel_all()
        unanswered = ActorStopped(f"actor {self.ref.name} has not answered, it {describe(reason)}")
        for reply in (self.asked, *list(self.deferred)):
            if reply is not None:
                reply.fail(unanswered)
        for peer in self.links:
            peer.signal(Exit(self.mailbox, reason))


class Actor:
    """State behind a mailbox: one greenlet handles one message at a time.

    Derive from it, and mark handlers with `handles`, or override `receive`. The methods that are not hooks (`ref`,
    `after`, `link`, ...) work from `on_start` on, and are for the actor's own greenlet.

    When a handler raises, `on_failure` decides; as it stands, the actor fails: it ends, and its supervisor starts
    another instance behind the same reference and mailbox. The message that failed is gone, those behind it are not.
    KeyboardInterrupt, SystemExit and GreenletExit always end the actor; the first two also reach the main greenlet.
    """

    traps_exits: ClassVar[bool] = False
    """Whether the end of a linked actor comes as a message (`Exited`) instead of ending this actor too."""

    _handler_names: ClassVar[dict[type, str]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._handler_names = handler_names(cls)

    # -- hooks: override these -----------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Called first, in the actor's greenlet. Whoever starts the actor waits for it, and gets what it raises."""

    def on_stop(self, reason: Reason) -> None:
        """Called last if `on_start` had returned: also after a failure, and when the actor is killed."""

    def on_failure(self, error: BaseException, message: Any) -> None:
        """Called with what a handler raised, after the asker (if the message was an ask) has got it.

        If it returns, the actor goes on with its next message, its state as it is. If it raises, the actor fails with
        what it raises. By default it raises `error`.
        """
        raise error

    def receive(self, message: Any) -> Any:
        """Called with each message; returns the answer, if it was an ask.

        As it stands it calls the handler of the message's type. Override it where that look-up costs too much. Raises
        UnhandledMessage if there is none, which is a failure of the actor like all that `receive` raises.
        """
        handler = self.__handlers.get(type(message))
        if handler is None:
            handler = self.__find_handler(type(message))
        return handler(message)

    # -- what an actor can do ------------------------------------------------------------------------------------

    @property
    def ref(self) -> ActorRef:
        """The actor's own reference, to give to others."""
        return self.__started.ref

    def stop(self, reason: Reason = Ended.NORMAL) -> None:
        """End after this message. An exception as `reason` makes the end a failure."""
        context = self.__started
        context.mailbox.signal(Stop(reason, context.incarnation))

    def after(self, delay_s: float, message: Any) -> Timer:
        """Get `message` once, `delay_s` from now. Overtakes what stands in the mailbox; ends with the actor."""
        return self.__started.timers.after(delay_s, message)

    def every(self, period_s: float, message: Any) -> Timer:
        """Get `message` after each `period_s`, as with `after`; what the actor has no time for is left out."""
        return self.__started.timers.every(period_s, message)

    def defer(self) -> Reply:
        """Answer the ask that is being handled later, through the Reply returned here, from any thread.

        The asker gets ActorStopped if the actor ends before. For a message that was told, nobody hears the reply.
        """
        context = self.__started
        reply = context.asked or Reply()
        context.asked = None
        context.deferred.add(reply)
        reply.on_settled = context.deferred.discard
        return reply

    def monitor(self, other: ActorRef) -> None:
        """Get ``Down(other, reason)`` when `other` has stopped for good; at once if it has."""
        other.monitor(self.ref)

    def unmonitor(self, other: ActorRef) -> None:
        """Take `monitor` back."""
        other.unmonitor(self.ref)

    def link(self, other: ActorRef) -> None:
        """Share the fate of `other`: when one of the two ends, the other ends for the same reason.

        Not if the first ended normally. An actor that `traps_exits` gets ``Exited(other, reason)`` instead, normal ends
        included. The link is gone with the first end, so link again in `on_start`. Source: links and exit signals of
        Erlang, https://www.erlang.org/doc/system/ref_man_processes.html
        """
        context, peer = self.__started, other._mailbox
        if peer is not context.mailbox:
            context.links.add(peer)
            peer.signal(Link(context.mailbox))

    def unlink(self, other: ActorRef) -> None:
        """Take `link` back, whichever side had made it."""
        context, peer = self.__started, other._mailbox
        context.links.discard(peer)
        peer.signal(Unlink(context.mailbox))

    # -- for the runtime -----------------------------------------------------------------------------------------

    def _bind(self, context: Context) -> None:
        self.__context = context
        self.__handlers: dict[type, Callable[[Any], Any]] = {
            kind: getattr(self, name) for kind, name in self._handler_names.items()
        }

    @property
    def __started(self) -> Context:
        try:
            return self.__context
        except AttributeError:
            raise RuntimeError(f"{type(self).__qualname__} is not started yet: do this in on_start()") from None

    def __find_handler(self, kind: type) -> Callable[[Any], Any]:
        for base in kind.__mro__:
            handler = self.__handlers.get(base)
            if handler is not None:
                self.__handlers[kind] = handler  # The next one of this type finds it at once.
                return handler
        raise UnhandledMessage(self.ref.name, kind, self._handler_names)
