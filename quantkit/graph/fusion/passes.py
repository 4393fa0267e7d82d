"""What a fusion pass is: it fuses the anchors that match, and says where and why the others stopped."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from quantkit.graph.pattern import Stopped


@dataclass(frozen=True, kw_only=True, slots=True)
class Miss:
    """An anchor that did not match: where it is, the node at which matching stopped, and why."""

    anchor: str
    node: str
    reason: str

    def __str__(self) -> str:
        return f"{self.anchor}: stopped at node {self.node}: {self.reason}"


@dataclass(frozen=True, kw_only=True, slots=True)
class PassResult:
    """What one pass did to one graph: `name` is the operator it makes, `matched` how many of them it made."""

    name: str
    matched: int
    missed: tuple[Miss, ...] = ()


class FusionPass(ABC):
    """One fusion. An instance serves one graph: it may keep what several of its matches share."""

    name: ClassVar[str]

    def __call__(self, model: ir.Model) -> PassResult:
        """Fuse every anchor that matches."""
        graph = model.graph
        matched = 0
        missed: list[Miss] = []
        for anchor in self.anchors(graph):
            # Described first: a match rewires what the description is read from.
            where = self.where(anchor)
            try:
                self.fuse(graph, anchor)
            except Stopped as stopped:
                missed.append(Miss(anchor=where, node=stopped.node, reason=stopped.reason))
            else:
                matched += 1
        return PassResult(name=self.name, matched=matched, missed=tuple(missed))

    @abstractmethod
    def anchors(self, graph: ir.Graph) -> list[ir.Node]:
        """Return the nodes around which the pattern could lie, in graph order."""

    @abstractmethod
    def fuse(self, graph: ir.Graph, anchor: ir.Node) -> None:
        """Fuse around `anchor`. The graph is changed only when everything matched.

        Raises:
            Stopped: it does not match.
        """

    def where(self, anchor: ir.Node) -> str:
        """Return how a miss at `anchor` is named."""
        return anchor.name or anchor.op_type
