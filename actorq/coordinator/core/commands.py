"""Questions about calls, commands to nodes, and revocation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any

from actorq.coordinator.core import administration, limits
from actorq.coordinator.core.administration import Administration
from actorq.coordinator.core.arguments import ids_in
from actorq.coordinator.core.broadcasts import Broadcasts
from actorq.coordinator.core.calls import FOREIGN
from actorq.coordinator.core.clients import Client
from actorq.coordinator.core.details import Details
from actorq.coordinator.core.effects import Peer
from actorq.coordinator.core.handover import Handover
from actorq.coordinator.core.mesh import Mesh
from actorq.coordinator.core.searches import Searches
from actorq.coordinator.core.stamps import stamped
from actorq.coordinator.core.state import TREE, State
from actorq.coordinator.core.uniques import UNIQUE
from actorq.coordinator.core.workers import Worker
from actorq.errors import TaskRevokedError
from actorq.states import PENDING, RECEIVED, STARTED
from actorq.stores.api import KeepRevocations
from actorq.wire import messages as m
from actorq.wire.records import REVOKED, Call, Member, Outcome

LEAVE = "drain_coordinator"
NAME_ONE = (
    "name the coordinator that is to leave. Several have this name, or none was given: give its address, which 'actorq "
    "inspect coordinator' shows"
)
ORDERS = frozenset({"revoke", "revoke_by_stamps"}) | administration.ORDERS
"""Commands that change what a coordinator keeps."""
TIMEOUT_LIMIT_S = 3600.0
"""Nobody waits for longer for the replies to a command."""


class Commands:
    """What clients ask and order."""

    def __init__(
        self,
        state: State,
        mesh: Mesh,
        searches: Searches,
        broadcasts: Broadcasts,
        handover: Handover,
        administration: Administration,
    ) -> None:
        self._state = state
        self._mesh = mesh
        self._searches = searches
        self._handover = handover
        self._administration = administration
        self._details = Details(state)
        self.broadcasts = broadcasts

    def query(self, peer: Peer, client: Client, message: m.Query) -> None:
        is_claimed = client.is_coordinator and self._searches.has_claimed(message.ids)
        # Of what is known here, more will not be known later.
        unknown = [each for each in message.ids if not self._is_known(each)] if is_claimed else []
        if self._searches.has_claimed(unknown):
            if self._searches.comes_first(unknown, client):
                self._searches.park((peer, message.wait, *unknown), partial(self.query, peer, client, message))
                return
            self._searches.ask_again(unknown, client)
        settled: list[Outcome] = []
        states: dict[str, str] = {}
        for task_id in message.ids:
            outcome = self._state.outcomes.get(task_id)
            if outcome is not None:
                settled.append(outcome)
                continue
            states[task_id] = (
                "" if client.is_coordinator and self._is_promised_by_nobody(task_id) else self._state_of(task_id)
            )
            if message.wait:
                self._state.watch(client, task_id)
        self._state.tell_settled(client, settled)
        if message.wait and not client.is_coordinator:
            self._searches.watch([task_id for task_id, state in states.items() if not state])
        if message.wait or client.is_coordinator:
            notes = self._state.notes_of(states)
            self._state.tell(client, m.Report(message.token, list(states.items()), notes=notes))
        else:
            self._searches.answer(client, peer, message.token, states)

    def unwatch(self, peer: Peer, client: Client, message: m.Unwatch) -> None:
        self._state.unwatch(client, message.ids)

    def _is_known(self, task_id: str) -> bool:
        """Whether another coordinator that asks hears that it is here, or how it has ended."""
        if self._state.outcomes.get(task_id) is not None:
            return True
        return not self._is_promised_by_nobody(task_id) and bool(self._state_of(task_id))

    def _is_promised_by_nobody(self, task_id: str) -> bool:
        """Whether a worker brought it, and it is not in the journal here: its client may not hear that it is accepted."""
        call = self._state.calls.get(task_id)
        return call is not None and call.spec == FOREIGN and self._state.settings.durable

    def _state_of(self, task_id: str) -> str:
        if task_id.startswith(UNIQUE):
            holder = self._state.uniques.holder(task_id.removeprefix(UNIQUE), self._state.wall_s)
            return holder.id if holder is not None else ""
        call, note = self._state.calls.get(task_id), self._state.notes.get(task_id)
        if note is not None:
            return note.state
        if call is None:
            return self._state_in_ledger(task_id)
        if not call.worker:
            return PENDING
        worker = self._state.workers_by_number[call.worker]
        return STARTED if worker.running.get(task_id) == call.attempt else RECEIVED

    def _state_in_ledger(self, task_id: str) -> str:
        """Of a call that waits for others of its plan, and of a plan; empty if it is neither."""
        ledger = self._state.ledger
        if ledger.waiting(task_id) is not None:
            return PENDING
        return STARTED if task_id in ledger.entries else ""

    def control(self, peer: Peer, client: Client, message: m.Control) -> None:
        own = self._own_commands().get(message.command)
        if own is not None:
            if not client.is_coordinator:
                self._administration.stamp(message.command, message.arguments)
            self._run_on_coordinators(peer, client, message, own)
            return
        limit = self._state.settings.order_limit
        if self.broadcasts.open_by_peer[peer] >= limit:
            self._state.hits["orders"] += 1
            error = {"error": f"{limit:,} commands of this client are not answered yet: give this one later"}
            self._state.send(peer, m.Replies(message.token, {self._state.name: error}, []))
            return
        nodes = self._nodes(message.destination)
        shown = _show({each.epoch: each.name for each in nodes})
        # A name that no node has is awaited as well, under itself: it will be missing.
        names = {each.name for each in nodes}
        shown.update((name, name) for name in message.destination if name not in names)
        token = self.broadcasts.open(peer, message.token, shown, self._state.now_s + _bounded(message.timeout_s))
        command = m.Command(token, message.command, message.arguments)
        for node in nodes:
            if node.control is None:
                self.broadcasts.hold(token, node.epoch, command)
            else:
                self._state.send(node.control, command)

    def _run_on_coordinators(
        self, peer: Peer, client: Client, message: m.Control, own: Callable[[dict[str, Any]], Any]
    ) -> None:
        """Run a command of coordinators here, and, unless one of them asks, on all others."""
        names = message.destination
        mesh = self._mesh
        is_ours = client.is_coordinator or _is_named(mesh.own, names)
        links = [] if client.is_coordinator else mesh.open_links()
        links = [link for link in links if _is_named(link.member, names)]
        if message.command == LEAVE and not client.is_coordinator and len(links) + is_ours > len(names):
            self._state.send(peer, m.Replies(message.token, {self._state.name: {"error": NAME_ONE}}, []))
            return
        in_touch = [link.member for link in links] + ([mesh.own] if is_ours else [])
        missing = []
        if not client.is_coordinator:
            missing = [each.name or each.address for each in mesh.silent() if _is_named(each, names)]
            missing += [name for name in names if not any(_is_named(each, [name]) for each in in_touch)]
        shown = _show({each.epoch: each.name for each in in_touch})
        token = self.broadcasts.open(
            peer, message.token, shown, self._state.now_s + _bounded(message.timeout_s), message.command in ORDERS,
            list(dict.fromkeys(missing)),
        )  # fmt: skip
        if client.is_coordinator and message.command == "revoke":
            self._pass_on(message.arguments)
        if is_ours:
            self.broadcasts.reply(token, mesh.own.epoch, own(message.arguments))
        for link in links:
            order = m.Control(token, message.command, message.arguments, [], message.timeout_s)
            self._state.send(link.peer, order)

    def reply(self, peer: Peer, worker: Worker, message: m.Reply) -> None:
        self.broadcasts.reply(message.token, worker.epoch, message.value)

    def _nodes(self, names: Sequence[str]) -> list[Worker]:
        """The nodes with these names, or all. Beside another of its name one out of touch is left out."""
        nodes = [each for each in self._state.workers.values() if not names or each.name in names]
        in_touch = {each.name for each in nodes if not each.is_out_of_touch()}
        return [each for each in nodes if not each.is_out_of_touch() or each.name not in in_touch]

    def _own_commands(self) -> dict[str, Callable[[dict[str, Any]], Any]]:
        return {
            "revoke": self._revoke,
            "revoke_by_stamps": self._revoke_by_stamps,
            "forget": self._forget,
            "coordinator": lambda _: self.stats(),
            "queues": lambda _: {name: queue.size for name, queue in self._state.lanes.queues.items()},
            LEAVE: lambda _: self._leave(),
            **self._administration.commands,
            **self._details.commands,
        }

    def _leave(self) -> dict[str, str]:
        try:
            return {"ok": self._handover.begin()}
        except ValueError as error:
            return {"error": str(error)}

    def _revoke(self, arguments: dict[str, Any]) -> dict[str, str]:
        """End calls, wherever they are, and with `roots` all that go back to these. Returns what became of each."""
        terminate = bool(arguments.get("terminate"))
        until_s = self._state.wall_s + self._state.settings.revocation_age_s
        ids = ids_in(arguments)
        roots = [each.removeprefix(TREE) for each in ids if each.startswith(TREE)] + ids_in(arguments, "roots")
        ids = [each for each in ids if not each.startswith(TREE)]
        members = self._members(roots)
        became = self._revoke_each(ids, terminate, until_s)
        for root in roots:
            self._remember(TREE + root, terminate, until_s)
        in_trees = [each for each in chain.from_iterable(members.values()) if each not in became]
        became_of_each = became | self._revoke_each(in_trees, terminate, until_s)
        for root, tree in members.items():
            became[root] = _summary([became_of_each[each] for each in tree])
        if self._state.settings.durable:
            for ends in (False, True):
                ordered = dict.fromkeys([*ids, *in_trees, *(TREE + root for root in roots)])
                kept = [each for each in ordered if self._state.revoked.get(each) == (until_s, ends)]
                if kept:
                    self._state.operations.append(KeepRevocations(kept, until_s, ends))
        if self._state.trouble:
            return {task_id: f"{each}; not written down yet: {self._state.trouble}" for task_id, each in became.items()}
        return became

    def _revoke_by_stamps(self, arguments: dict[str, Any]) -> dict[str, str]:
        """End the calls that are here and have one of these stamps. Returns what became of each."""
        wanted = arguments.get("stamps")
        calls = chain(self._state.calls, self._state.ledger.unreleased())
        ids = stamped(calls, wanted) if isinstance(wanted, dict) else []
        return self._revoke({"ids": ids, "terminate": arguments.get("terminate")})

    def _pass_on(self, arguments: dict[str, Any]) -> None:
        """Tell the others of revocations that are news here: who told us may end before it has told all (eager reliable
        broadcast: Cachin, Guerraoui, Rodrigues, *Introduction to Reliable and Secure Distributed Programming*, 3.3).
        """
        state, terminate = self._state, bool(arguments.get("terminate"))
        news = []
        for each in [*ids_in(arguments), *(TREE + root for root in ids_in(arguments, "roots"))]:
            known = state.revoked.get(each)
            if state.outcomes.get(each) is None and (known is None or (terminate and not known[1])):
                news.append(each)
        # Where there is no room old ones are forgotten, and would be news again: then they could go round for ever.
        if news and len(state.revoked) + len(news) <= state.settings.revocation_count:
            for link in self._mesh.open_links():
                state.send(link.peer, m.Control(0, "revoke", {"ids": news, "terminate": terminate}, [], 0.0))

    def _members(self, roots: Sequence[str]) -> dict[str, list[str]]:
        """The calls that go back to each of these, and these themselves: first what waits for others, from the end to the
        beginning, so that it ends for its own sake.
        """
        members: dict[str, list[str]] = {root: [] for root in roots}
        for call in chain(reversed([*self._state.ledger.unreleased()]), self._state.calls) if members else ():
            root = call.extra.root if call.extra is not None else ""
            if root in members and call.id != root:
                members[root].append(call.id)
        for root, tree in members.items():
            tree.append(root)
        return members

    def _forget(self, arguments: dict[str, Any]) -> int:
        """Drop the outcomes of calls that have settled. Returns how many there were. What a journal has of them stays
        there until it is over age, and is here again after a restart.
        """
        return sum(map(self._state.outcomes.forget, ids_in(arguments)))

    def _revoke_each(self, task_ids: Iterable[str], terminate: bool, until_s: float) -> dict[str, str]:
        """Returns what became of each. Those that wait and belong to no workflow end together."""
        removed: list[Call] = []
        became = {each: self._revoke_one(each, terminate, until_s, removed) for each in dict.fromkeys(task_ids)}
        self._state.settle_all_here(removed, REVOKED, TaskRevokedError("it was revoked"))
        return became

    def _revoke_one(self, task_id: str, terminate: bool, until_s: float, removed: list[Call]) -> str:
        if self._state.outcomes.get(task_id) is not None:
            return "already settled"
        terminate = self._remember(task_id, terminate, until_s)
        call, waiting = self._state.calls.get(task_id), self._state.ledger.waiting(task_id)
        if call is None and waiting is not None:
            self._state.settle_here(waiting, REVOKED, TaskRevokedError("it was revoked"))
            return "removed"
        if call is None:
            return "unknown here; it will not start if it comes later"
        if call.worker:
            self._state.tell_revoked(call, terminate)
            return "its worker was told"
        self._state.withdraw(call)
        if task_id in self._state.ledger.members:
            self._state.settle_here(call, REVOKED, TaskRevokedError("it was revoked"))
        else:
            removed.append(call)
        return "removed"

    def _remember(self, task_id: str, terminate: bool, until_s: float) -> bool:
        """The order holds for calls that come later, too. Returns whether they are to be ended."""
        _, ends = self._state.revoked.pop(task_id, (0.0, False))
        terminate = terminate or ends  # Another coordinator may tell of an earlier order.
        self._state.revoked[task_id] = (until_s, terminate)
        return terminate

    def stats(self) -> dict[str, Any]:
        """What `actorq status` shows of this coordinator."""
        others, silent = self._mesh.others(), self._mesh.silent()
        return {
            "name": self._state.name,
            "address": self._mesh.own.address,
            "epoch": self._state.epoch,
            "uptime_s": round(self._state.now_s - self._state.started_s, 3),
            "leaves": self._state.is_leaving,
            "durable": self._state.settings.durable,
            "data_dir": self._state.settings.data_dir,
            "unwritten": self._state.unwritten,
            "trouble": self._state.trouble,
            "calls": len(self._state.calls),
            "scheduled": len(self._state.schedule),
            "outcomes": len(self._state.outcomes),
            "settled": self._state.settled_count,
            "late_reports": self._state.late_reports,
            "dead_letters": len(self._state.dead_letters),
            "clients": sum(
                client.peer is not None and not client.is_coordinator for client in self._state.clients.values()
            ),
            "coordinators": [
                {"name": each.name, "address": each.address, "in_touch": each not in silent} for each in others
            ],
            "paused": sorted(self._state.lanes.paused),
            "limits": limits.usage(self._state, max(self.broadcasts.open_by_peer.values(), default=0)),
            "link": self._state.counts(),
            "queues": {name: queue.size for name, queue in self._state.lanes.queues.items()},
            "workers": [
                {
                    "name": worker.name,
                    "pid": worker.pid,
                    "state": worker.contact.value,
                    "slots": worker.slots,
                    "leases": len(worker.leases),
                    "running": len(worker.running),
                    "lag_s": worker.lag_s,
                    "rss_bytes": worker.rss_bytes,
                    "silent_s": round(self._state.now_s - worker.heard_s, 3),
                    "queues": sorted(worker.group.queues),
                    "offers": sorted(worker.group.offers),
                }
                for worker in self._state.workers.values()
            ],
        }


def _summary(became: Sequence[str]) -> str:
    """What became of the calls of a tree."""
    if len(became) == 1:
        return became[0]
    known = Counter(each for each in became if not each.startswith("unknown"))
    return ", ".join(f"{count} {what}" for what, count in known.items()) or became[0]


def _is_named(member: Member, names: Sequence[str]) -> bool:
    """Whether a command is for this coordinator: for all, or for its name or address."""
    return not names or member.name in names or member.address in names


def _bounded(timeout_s: float) -> float:
    return min(max(0.0, timeout_s), TIMEOUT_LIMIT_S)  # In this order 0 for NaN.


def _show(names: dict[str, str]) -> dict[str, str]:
    """The same keys, with names that differ: of several nodes with one name the second is ``name#2``, and so on."""
    shown: dict[str, str] = {}
    taken: set[str] = set()
    last: dict[str, int] = {}
    for key, name in names.items():
        candidate, number = name, last.get(name, 1)
        while candidate in taken:
            number += 1
            candidate = f"{name}#{number}"
        last[name] = number
        shown[key] = candidate
        taken.add(candidate)
    return shown
