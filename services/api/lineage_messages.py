"""The message of a lineage; `from` is a word of Python's, so its edges are not told by name."""

from services.api.translation import to_message
from services.domain.lineage import Lineage
from tutelage.v1 import lineage_pb2 as pb


def lineage_message(lineage: Lineage) -> pb.Lineage:
    """Return the message that tells the lineage."""
    nodes = [to_message(node, pb.LineageNode) for node in lineage.nodes]
    edges = [
        pb.LineageEdge(**{"from": edge.source, "to": edge.result, "relation": edge.relation}) for edge in lineage.edges
    ]
    return pb.Lineage(name=lineage.name, nodes=nodes, edges=edges)
