"""The watchdog: a native thread that keeps the node answering while its green threads are busy.

It owns the node's second connections to the coordinators, and with them heartbeats, control commands and what can be
said when the hub says nothing; and it ends calls that are over their time (see `limits`).

It and the hub's thread share no lock. What the hub's thread tells it goes through a deque, or is one attribute that
only one of the two writes; what it tells the hub's thread goes through a `HubGate`. What it looks at besides are
containers of the hub's thread, which it copies with one call of `list` (one step of the interpreter, in
which nothing else runs), and from which it takes with `pop` (the same): whoever comes second finds that it is gone.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from actorq import native
from actorq.actors.gate import HubGate
from actorq.config import WorkerSettings
from actorq.errors import ProtocolError
from actorq.signals import heartbeat_sent
from actorq.transport import Down, Event, Link, LinkKeys, ThreadWaiter, Up
from actorq.wire import frames
from actorq.wire import messages as m
from actorq.wire.records import Call, Outcome
from actorq.worker import lines
from actorq.worker.base import Pool, Run
from actorq.worker.commands import Commands
from actorq.worker.control_link import ControlLink
from actorq.worker.core import FORGOTTEN, Worker
from actorq.worker.endings import Ending, forgotten, shut_down, terminated
from actorq.worker.jobs import failure
from actorq.worker.life import Life
from actorq.worker.limits import GRACE_S, End, Limits
from actorq.worker.options import EXIT_REPLACE, EXIT_TOLD
from actorq.worker.sender import Sender

SIGNAL = signal.SIGUSR2
"""Interrupts the hub's thread where it is stuck in a call. Python runs the handler between two bytecodes."""
ALARM_AFTER_S, ALARM_EVERY_S = 1.0, 0.25
ALARM_PAUSE_S = 0.01
"""C code that keeps the interpreter's lock (a regular expression, some libraries) keeps this thread from running too.
If that goes on for so long, the kernel's timer interrupts it, and the handler sleeps, which lets other threads run.
What neither lets go of the lock nor looks for signals cannot be reached from within the process."""
UNINTERRUPTED = frozenset(
    {
        "actorq.worker.base",
        "actorq.worker.pool",
        "actorq.worker.slots",
        "actorq.worker.threads",
        "actorq.worker.coroutines",
        "actorq.client.bells",
    }
)
"""Modules that count slots, in steps: an exception between two of them would leave one lost, or one too many."""
DOZE_AFTER_S = 1.0
"""Calls that come one by one must not wake this thread one by one: it looks on for a while after the last."""
LAST_RESORT_S = 8.0
"""A node that has not ended so long after its time to drain is stuck, if not in a call: then it goes all the same."""
LAST_WORDS_S = 1.0
"""For how long a process that has to go waits for the coordinators to take its last reports."""


@dataclass(slots=True)
class _Exit:
    """The process goes: with which status, why, and how long it waits for its last reports to be taken."""

    status: int
    reason: str
    until_s: float
    reports: dict[int, list[Outcome]]
    """By number of the session."""
    sent: dict[int, int] = field(default_factory=dict)
    """Numbers of the last messages of those that were sent."""


class Watchdog:
    """Made and started by the hub's thread. Methods say which thread they are for."""

    def __init__(
        self,
        core: Worker,
        pool: Pool,
        commands: Commands,
        gate: HubGate,
        settings: WorkerSettings,
        pulse_fd: int | None = None,
        keys: LinkKeys | None = None,
        life: Life | None = None,
    ) -> None:
        self.dozes = False
        """Whether it looks only when a heartbeat is due, because nothing is held. `wake` it when that changes."""
        self.addresses: dict[int, str] = {}
        """The coordinators to talk to, by number of the session, once that is welcomed. Set by the hub's thread."""
        self.shut_down_at_s = 0.0
        """When what still runs is ended because the node ends; 0: not. Set by the hub's thread."""
        self.end_status = EXIT_TOLD
        """Exit status of the process if it has to go at once while the node ends. Set by the hub's thread."""
        self._core, self._pool, self._commands = core, pool, commands
        self._in_hub = gate.call_soon
        self._pulse_fd = pulse_fd
        self._life = life
        self._settings = settings
        self._orders: deque[tuple[Run, Call, Ending]] = deque()
        self._limits = Limits()
        self._link = Link(ThreadWaiter(), self._turn, keys=keys)
        self._sender = Sender(self._link)
        self._links: dict[int, ControlLink] = {}
        """By number of the session."""
        self._heartbeat_s = 0.0
        self._awake_until_s = 0.0
        self._delivered = 0
        self._asked_hub_s = 0.0
        self._hub_answered_s = 0.0
        self._rescued: set[str] = set()
        self._was_stuck = False
        self._head: Any = None
        self._head_since_s = 0.0
        self._exit: _Exit | None = None

    # -- for the hub's thread ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread. On the process's main thread, where signals are handled."""
        signal.signal(SIGNAL, self._interrupt)
        if signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
            signal.signal(signal.SIGALRM, self._on_alarm)
            signal.siginterrupt(signal.SIGALRM, False)
        native.start_thread(self._run)

    def stop(self) -> None:
        """End the thread, soon."""
        self._link.stop(0.0)

    def wake(self) -> None:
        """Look again now."""
        self.dozes = False
        self._link.wake()

    def end(self, attempts: Iterable[tuple[str, int, bool]]) -> None:
        """Have running attempts end: as revoked where an outcome is wanted, else without one (see `Effects.end`)."""
        wanted = {(task_id, attempt): is_wanted for task_id, attempt, is_wanted in attempts}
        for run in self._pool.running():
            call = run.call
            is_wanted = wanted.get((call.id, call.attempt))
            if is_wanted is not None:
                self._orders.append((run, call, terminated() if is_wanted else forgotten()))
        self.wake()

    def _throw(self, end: End) -> None:
        """In the hub's greenlet, if need be: raise the exception where the call waits, or runs on its own thread."""
        if not end.is_over:
            end.delivered_s = time.monotonic()
            self._pool.end(end.run, end.call, end.error)

    def _answer(self) -> None:
        self._hub_answered_s = time.monotonic()

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        """The signal handler: raise the exception here, if it is this call that the hub is stuck in."""
        if frame is not None and frame.f_globals.get("__name__") in UNINTERRUPTED:
            return  # Slots are being counted. It is asked again in a moment.
        for end in self._limits.pending():
            if self._pool.is_current(end.run) and not end.is_over:
                end.delivered_s = time.monotonic()
                raise end.error

    def _on_alarm(self, signum: int, frame: FrameType | None) -> None:
        """The signal handler for when the watchdog's thread could not run: lets it, and does what it then wants."""
        native.sleep(ALARM_PAUSE_S)
        self._interrupt(signum, frame)

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._link.run()
        except BaseException:
            say(f"the watchdog failed, and the node ends:\n{_traceback()}")
            os._exit(EXIT_REPLACE)
        if self._exit is not None:
            os._exit(self._exit.status)
        if signal.getsignal(signal.SIGALRM) == self._on_alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _turn(self, events: list[Event]) -> float:
        now_s = time.monotonic()
        if signal.getsignal(signal.SIGALRM) == self._on_alarm:  # Else a task uses the alarm for something of its own.
            signal.setitimer(signal.ITIMER_REAL, ALARM_AFTER_S, ALARM_EVERY_S)
        for event in events:
            for number, link in self._links.items():
                if link.peer == event.peer:
                    self._take(number, link, event, now_s)
                    break
        self._keep_connected(now_s)
        if self._exit is not None:
            return self._leave(self._exit, now_s)
        is_stuck = self._watch_hub(now_s)
        if is_stuck:
            self._rescue_outcomes()
        if is_stuck != self._was_stuck:
            self._was_stuck = is_stuck
            self._heartbeat_s = 0.0  # The coordinator gives work to others meanwhile, and to us again at once.
        self._give_back_stalled(now_s)
        self._end_calls(now_s)
        if now_s >= self._heartbeat_s:
            self._heartbeat_s = now_s + self._settings.liveness.heartbeat_s
            self._send_heartbeat(now_s)
        self.dozes = now_s >= self._awake_until_s  # First this, then the look: the hub's thread adds first, looks then.
        if self._is_needed():
            self.dozes = False
            self._awake_until_s = now_s + DOZE_AFTER_S
        until_s = self._heartbeat_s if self.dozes else min(self._heartbeat_s, now_s + self._settings.stall_s)
        until_s = min([until_s, *[link.redial_s for link in self._links.values() if not link.peer]])
        return max(until_s - time.monotonic(), 0.0)

    def _is_needed(self) -> bool:
        """Whether there are calls to watch, or have been since the last look."""
        delivered = self._delivered
        self._delivered = sum([session.delivered for session in list(self._core.sessions.values())])
        if delivered != self._delivered:
            return True
        return bool(self._core.held or self._pool.active or self._pool.paused or self.shut_down_at_s)

    # -- the connection ------------------------------------------------------------------------------------------

    def _keep_connected(self, now_s: float) -> None:
        for number, address in list(self.addresses.items()):
            if number not in self._core.sessions:
                del self.addresses[number]  # That coordinator is gone for good.
                continue
            link = self._links.get(number)
            if link is None:
                core = self._core
                link = ControlLink(self._link, self._sender, core.name, core.epoch, self._settings.liveness)
                self._links[number] = link
            link.keep_connected(address, now_s)
        for number in [number for number in self._links if number not in self.addresses]:
            self._links.pop(number).hang_up()

    def _take(self, number: int, link: ControlLink, event: Event, now_s: float) -> None:
        if isinstance(event, Up):
            session = self._core.sessions.get(number)
            if session is not None:
                # It may be a coordinator that has started anew: it is told what is not to run again.
                link.say_hello(session.coordinator, session.held())
        elif isinstance(event, Down):
            link.lose(now_s)
        else:
            try:
                message = frames.unpack(event.frames, frames.TO_CONTROL)
            except ProtocolError:
                link.lose(now_s)
            else:
                self._receive(number, link, message, now_s)

    def _receive(self, number: int, link: ControlLink, message: Any, now_s: float) -> None:
        if link.receive(message, now_s):
            self._heartbeat_s = 0.0
        if not link.is_open:
            return
        kind = type(message)
        if kind is m.Renewed:
            session = self._core.sessions.get(number)
            # One that has started anew does not know all that is held, until the hub has told it.
            if session is not None and session.coordinator == link.coordinator:
                session.leases_hold_until_s = message.sent_s + self._settings.liveness.grace_s
        elif kind is m.Command:
            link.send(m.Reply(message.token, self._answer_to(message.command, message.arguments)), urgent=True)
        elif kind is m.Revoke and (message.terminate or message.forget):
            self._revoke(number, set(message.ids), message.forget, now_s)
        elif kind is m.Revoke:
            self._core.leases.cancelled.update([each for each in message.ids if each in self._core.held])

    def _open_links(self) -> list[tuple[int, ControlLink]]:
        return [(number, link) for number, link in self._links.items() if link.is_open]

    def _answer_to(self, command: str, arguments: dict[str, Any]) -> Any:
        try:
            return self._commands.answer(command, arguments)
        except Exception as error:  # Arguments that are shown may be of any class.
            return {"error": f"the command {command!r} failed: {type(error).__name__}"}

    # -- the hub -------------------------------------------------------------------------------------------------

    def _watch_hub(self, now_s: float) -> bool:
        """Ask the hub for a sign of life. Returns whether it owes one for too long."""
        if self._hub_answered_s >= self._asked_hub_s:
            self._rescued.clear()
            self._asked_hub_s = now_s
            self._in_hub(self._answer)
            return False
        return now_s - self._asked_hub_s >= self._settings.stall_s

    def _lag_s(self, now_s: float) -> float:
        return 0.0 if self._hub_answered_s >= self._asked_hub_s else now_s - self._asked_hub_s

    def _rescue_outcomes(self) -> None:
        """Calls that ended just before one that does not let go: their outcomes need not wait for it."""
        finished = self._finished()
        for number, link in self._open_links():
            outcomes = [each for each in finished.get(number, ()) if each.id not in self._rescued]
            self._rescued.update(outcome.id for outcome in outcomes)
            link.report(outcomes)

    def _give_back_stalled(self, now_s: float) -> None:
        """If no call has started for a while although some are ready, others may run them sooner."""
        try:
            head = self._core.ready[0]
        except IndexError:
            head = None
        if head is not self._head or head is None:
            self._head, self._head_since_s = head, now_s
        elif now_s - self._head_since_s >= self._settings.stall_s and self._open_links():
            for number, message in self._core.give_back().items():
                if number in self._links:
                    self._links[number].send(message)

    def _send_heartbeat(self, now_s: float) -> None:
        self._give_pulse()
        calls = [run.call for run in self._pool.running()]
        for number, link in self._open_links():
            running = [
                (call.id, call.attempt)
                for call in calls
                if call.id and call.worker == number and call.attempt != FORGOTTEN
            ]
            link.send(m.Heartbeat(now_s, self._lag_s(now_s), running, rss_bytes()), urgent=True)
        if heartbeat_sent.receivers and self._life is not None:
            self._in_hub(self._life.beat)

    def _give_pulse(self) -> None:
        """Tell the supervisor, which replaces a process that says nothing, that this thread gets to run."""
        if self._pulse_fd is not None:
            try:
                os.write(self._pulse_fd, b".")
            except OSError:
                pass  # It has not read for hours, or has died.

    def _finished(self) -> dict[int, list[Outcome]]:
        """Outcomes that the hub has not taken yet, by number of the session."""
        finished: dict[int, list[Outcome]] = {}
        for outcome in self._pool.unreported():
            call = self._core.held.get(outcome.id)
            if outcome.attempt != FORGOTTEN and call is not None:
                finished.setdefault(call.worker, []).append(outcome)
        return finished

    # -- ending calls --------------------------------------------------------------------------------------------

    def _end_calls(self, now_s: float) -> None:
        while self._orders:
            self._end(*self._orders.popleft(), now_s)
        runs = self._pool.running()
        for end in self._limits.check(runs, now_s):
            self._ask(end)
            if not end.is_final:
                self._in_hub(lines.soft_limit, end.run.spec, end.call)
        if self.shut_down_at_s and now_s >= self.shut_down_at_s:
            self._shut_down(runs, now_s)
        steps = self._limits.steps(now_s, self._settings.stall_s)
        for end in steps.throw:
            self._ask(end)
        if any(self._is_on_cpu(end) for end in steps.overdue):
            signal.pthread_kill(self._pool.thread, SIGNAL)
        for end in steps.replace:
            if end.delivered_s or self._is_on_cpu(end) or self._is_stuck_in_no_call(runs, now_s):
                self._give_up(end, now_s)
                return
        if self.shut_down_at_s and now_s >= self.shut_down_at_s + LAST_RESORT_S:
            self._exit_with(self.end_status, "shut down while its hub was stuck", now_s, None)

    def _is_stuck_in_no_call(self, runs: Iterable[Run], now_s: float) -> bool:
        """Whether the hub is kept busy by what a call has started, such as a thread, which is a greenlet here."""
        return self._lag_s(now_s) >= GRACE_S and not any(self._pool.is_on_cpu(run) for run in runs)

    def _revoke(self, number: int, ids: set[str], forget: bool, now_s: float) -> None:
        """End running calls; as `Worker.revoke`, which the hub's thread may not come to."""
        held = self._core.held
        for run in self._pool.running():
            call = run.call
            if call.id not in ids or call.worker != number or held.get(call.id) is not call:
                continue  # An attempt that was forgotten is not what is meant.
            if forget:
                held.pop(call.id, None)
                call.attempt = FORGOTTEN
            self._end(run, call, forgotten() if forget else terminated(), now_s)

    def _shut_down(self, runs: Iterable[Run], now_s: float) -> None:
        """End what runs. Its leases go back, but for those of calls that may run only once: they have an outcome."""
        for run in runs:
            call, spec = run.call, run.spec
            if run.call is call and call.id:
                if not spec.at_most_once:
                    self._core.held.pop(call.id, None)
                self._end(run, call, shut_down(spec), now_s)

    def _end(self, run: Run, call: Call, error: Ending, now_s: float) -> None:
        end = self._limits.end(run, call, error, now_s)
        if end is not None:
            self._ask(end)

    def _ask(self, end: End) -> None:
        if self._pool.needs_hub(end.run):
            self._in_hub(self._throw, end)
        else:
            self._throw(end)

    def _is_on_cpu(self, end: End) -> bool:
        return self._pool.is_on_cpu(end.run)

    # -- the end of the process ----------------------------------------------------------------------------------

    def _give_up(self, end: End, now_s: float) -> None:
        """A call cannot be made to end: the process goes. It is replaced, unless it was to end anyway."""
        status = self.end_status if self.shut_down_at_s else EXIT_REPLACE
        how = "caught every exception that was to end it" if end.delivered_s else "does not let go of the CPU in C code"
        if not self._pool.needs_hub(end.run):
            how = "waits or works in C code in its thread, or caught every exception that was to end it"
        elif not end.delivered_s and not self._is_on_cpu(end):
            how = "waits while a thread or greenlet that is no call of its own keeps the CPU"
        then = "" if self.shut_down_at_s else ": its process is replaced"
        reason = f"{end.run.spec.task}[{end.call.id}] was to end ({end.error}), and {how}{then}"
        say(f"ERROR: {reason}")
        self._exit_with(status, reason, now_s, end)

    def _exit_with(self, status: int, reason: str, now_s: float, end: End | None) -> None:
        """Go, with a last report: all that has ended, the call that has to, and those that must not run again.

        Other leases are free with the Bye that follows, and not counted against their calls.
        """
        reports = self._finished()
        for number, session in list(self._core.sessions.items()):
            reports.setdefault(number, []).extend(session.unacked())
        known = {outcome.id for report in reports.values() for outcome in report}
        for run in self._pool.running():
            call, spec = run.call, run.spec
            if run.call is not call or call.id in known or call.attempt == FORGOTTEN:
                continue
            error = end.error if end is not None and run is end.run else None
            ending = error if isinstance(error, Ending) else shut_down(spec)
            if ending.state is not None:
                report = reports.setdefault(call.worker, [])
                report.append(failure(call, ending.error, self._pool.stack_of(run), ending.state))
        self._exit = _Exit(status, reason, now_s + LAST_WORDS_S, reports)
        self._leave(self._exit, now_s)

    def _leave(self, leaving: _Exit, now_s: float) -> float:
        links = self._open_links()
        for number, link in links:
            if number not in leaving.sent:
                leaving.sent[number] = link.report(leaving.reports.get(number, ()))
        is_taken = bool(links) and all(link.is_acked(leaving.sent[number]) for number, link in links)
        if is_taken or now_s >= leaving.until_s:
            for _, link in links:
                link.send(m.Bye(leaving.reason))
            self._link.stop(LAST_WORDS_S / 2)
        return max(leaving.until_s - now_s, 0.0)


def say(text: str) -> None:
    """Write a line to standard error at once. Not with `logging`, whose locks belong to the hub's greenlets."""
    os.write(2, f"[{time.strftime('%Y-%m-%d %H:%M:%S')}] {text}\n".encode())


def rss_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        fd = os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:
        return 0
    try:
        return int(os.read(fd, 256).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    finally:
        os.close(fd)


def _traceback() -> str:
    import traceback

    return traceback.format_exc()
