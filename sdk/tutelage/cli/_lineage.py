"""Lineage as a tree: what a thing was made of below it, then what was made of it."""

import collections
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tutelage._names import spoken_name
from tutelage.cli._output import console, one_line, print_json, print_json_line, show, stdout_is_terminal

if TYPE_CHECKING:
    import tutelage

HASH_CHARACTERS = 12
HASH = re.compile(r"[0-9a-f]{64}")
Edges = Mapping[str, Sequence[tuple[str, str]]]
# A relation says of the result how it came from its source. Below the source, what it says is turned round.
TURNED_ROUND = {
    "trained on": "trained",
    "tokenized by": "tokenized",
    "tuned from": "tuned by",
    "rewarded by": "rewarded",
    "imported from": "imported by",
    "merged into": "merged by",
    "exported from": "exported by",
    "prompted by": "prompted",
    "drawn from": "answered in",
    "scored by": "scored",
    "drawn by": "drew for",
    "votes": "votes in",
    "published by": "published",
    "frozen from": "frozen into",
    "frozen again from": "frozen again as",
    "names": "promoted to",
}


def print_lineage(found: "tutelage.Lineage", *, output: str) -> None:
    """Prints a lineage in the chosen format."""
    if output == "json":
        print_json(found.to_dict())
    elif output == "jsonl":
        for node in found.nodes:
            print_json_line(node.to_dict())
    elif output == "name":
        for node in found.nodes:
            show(node.name)
    else:
        print_trees(found)


def print_trees(found: "tutelage.Lineage") -> None:
    """Prints both directions; a pipe gets the same without colour."""
    nodes = {node.name: node for node in found.nodes}
    came_from, became = edges_of(found)
    trees = [tree_of(found.name, nodes, came_from, title="")]
    if became.get(found.name):
        trees.append(tree_of(found.name, nodes, became, title="made of it"))
    screen = console()
    with screen.capture() as captured:
        for tree in trees:
            screen.print(tree)
    text = captured.get()
    for line in text.splitlines():
        print(line if stdout_is_terminal() else line.rstrip())


def edges_of(found: "tutelage.Lineage") -> tuple[Edges, Edges]:
    """Returns for each thing what it was made of, and what was made of it, each with how, said of the other one."""
    came_from: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)
    became: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)
    for edge in found.edges:
        came_from[edge.to].append((edge.from_, edge.relation))
        became[edge.from_].append((edge.to, TURNED_ROUND.get(edge.relation, edge.relation)))
    return came_from, became


def tree_of(name: str, nodes: "Mapping[str, tutelage.LineageNode]", edges: Edges, *, title: str) -> Any:
    """Returns a tree from one thing on; what was drawn already is named, and not drawn again."""
    from rich.tree import Tree

    root = Tree(label(nodes.get(name), name, "") if not title else styled(title, "bold"))
    grow(root, name, nodes=nodes, edges=edges, drawn={name})
    return root


def grow(branch: Any, name: str, *, nodes: Any, edges: Edges, drawn: set[str]) -> None:
    """Adds what belongs to a thing below it."""
    for other, relation in edges.get(name, ()):
        text = label(nodes.get(other), other, relation)
        if other in drawn and edges.get(other):
            text.append(" (see above)", style="dim")
            branch.add(text)
            continue
        drawn.add(other)
        grow(branch.add(text), other, nodes=nodes, edges=edges, drawn=drawn)


def label(node: "tutelage.LineageNode | None", name: str, relation: str) -> Any:
    """Returns one thing on one line: how it belongs here, what it is, its name, its hash and what there is to say."""
    text = styled(f"{relation}: " if relation else "", "dim")
    kind = node.kind.lower().replace("_", " ") if node is not None else ""
    text.append(f"{kind} " if kind else "", style="dim")
    text.append(one_line(spoken_name(name)), style="bold")
    if node is None:
        return text
    said = [f"{one_line(key).replace('_', ' ')} {detail(value)}" for key, value in sorted(node.details.items())]
    said += [f"sha256 {node.sha256[:HASH_CHARACTERS]}"] if node.sha256 else []
    text.append(f"  {', '.join(said)}" if said else "")
    text.append("  holds a retracted vote" if node.tainted else "", style="red")
    text.append("  deleted" if node.deleted else "", style="yellow")
    return text


def detail(value: str) -> str:
    """Returns what there is to say, short: names as people say them, hashes by their beginning."""
    if value.startswith("projects/"):
        return one_line(spoken_name(value))
    return value[:HASH_CHARACTERS] if HASH.fullmatch(value) else one_line(value)


def styled(text: str, style: str) -> Any:
    """Returns text with a style; nothing in it is taken for markup."""
    from rich.text import Text

    return Text(text, style=style)
