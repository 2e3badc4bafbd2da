"""What follows what, as a graph: of the results of a workflow, and of what its tasks have submitted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO


class DependencyGraph:
    """Nodes, and for each those that follow it. Iterating goes through the nodes in the order in which they came."""

    def __init__(self, formatter: Callable[[Any], str] | None = None) -> None:
        self._formatter = formatter or str
        self.adjacent: dict[Any, list[Any]] = {}

    def add_arc(self, node: Any) -> None:
        """Add a node, unless it is in there."""
        self.adjacent.setdefault(node, [])

    def add_edge(self, before: Any, after: Any) -> None:
        """`after` follows `before`."""
        self.add_arc(after)
        followers = self.adjacent.setdefault(before, [])
        if after not in followers:
            followers.append(after)

    def edges(self) -> list[Any]:
        """The nodes that something follows."""
        return [node for node, followers in self.adjacent.items() if followers]

    def valency_of(self, node: Any) -> int:
        """How many come after it, directly or not."""
        seen: dict[Any, None] = {}
        left = list(self.adjacent[node])
        while left:
            after = left.pop()
            if after not in seen:
                seen[after] = None
                left += self.adjacent[after]
        return len(seen)

    def items(self) -> Iterable[tuple[Any, list[Any]]]:
        """Each node, and those that follow it."""
        return self.adjacent.items()

    def to_dot(self, file: TextIO, formatter: Callable[[Any], str] | None = None) -> None:
        """Write it in the language of Graphviz: ``dot -Tpng`` draws it."""
        name = formatter or self._formatter
        file.write("digraph dependencies {\n")
        for node, followers in self.adjacent.items():
            file.write(f"    {_quoted(name(node))};\n")
            for after in followers:
                file.write(f"    {_quoted(name(node))} -> {_quoted(name(after))};\n")
        file.write("}\n")

    def __iter__(self) -> Iterator[Any]:
        return iter(self.adjacent)

    def __getitem__(self, node: Any) -> list[Any]:
        return self.adjacent[node]

    def __len__(self) -> int:
        return len(self.adjacent)

    def __contains__(self, node: object) -> bool:
        return node in self.adjacent

    def __repr__(self) -> str:
        return "\n".join(f"{node}({', '.join(map(str, followers))})" for node, followers in self.items())


def graph_of(pairs: Iterable[tuple[Any, Any]], formatter: Callable[[Any], str] | None = None) -> DependencyGraph:
    """The graph of what `iterdeps` gives."""
    graph = DependencyGraph(formatter)
    for parent, node in pairs:
        graph.add_arc(node)
        if parent is not None:
            graph.add_edge(parent, node)
    return graph


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
