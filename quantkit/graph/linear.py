"""Linear layers of a graph: MatMul or Gemm nodes with a constant weight, named by their torch module path."""

import difflib
import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quantkit.errors import RecipeError


@dataclass(frozen=True, kw_only=True, slots=True)
class Linear:
    """One linear layer y = x W: its node, with activation x and weight W as they are now, float32 [inputs, outputs].

    Gemm keeps W as [outputs, inputs] (`transposed`); `matrix` gives [inputs, outputs] for both.
    """

    node: ir.Node
    transposed: bool

    @property
    def name(self) -> str:
        """The layer's name: its torch module path."""
        return self.node.name or ""

    @property
    def activation(self) -> ir.Value:
        """The input x; rewriting the layer before this one replaces it."""
        activation = self.node.inputs[0]
        assert activation is not None
        return activation

    @property
    def weight(self) -> ir.Value:
        """The weight as it is stored; smoothing replaces it."""
        weight = self.node.inputs[1]
        assert weight is not None
        return weight

    @property
    def pooled(self) -> bool:
        """Whether x is one vector a row, [batch, inputs]: the layer is a Gemm, or behind the choice of one token."""
        if self.node.op_type == "Gemm":
            return True
        value: ir.Value | None = self.activation
        while value is not None and (node := value.producer()) is not None:
            if node.op_type == "Gemm" or _picks_one(node):
                return True
            value = next((entry for entry in node.inputs if entry and entry.const_value is None), None)
        return False

    def matrix(self) -> np.ndarray:
        """Return the weight as float32 [inputs, outputs]."""
        assert self.weight.const_value is not None
        array = self.weight.const_value.numpy()
        return array.T if self.transposed else array

    @property
    def shape(self) -> tuple[int, int]:
        """(inputs, outputs)."""
        assert self.weight.const_value is not None
        rows, columns = (int(size) for size in self.weight.const_value.shape.numpy())
        return (columns, rows) if self.transposed else (rows, columns)


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One embedding table: the nodes that look rows up, and the float32 [rows, width] initializer."""

    nodes: tuple[ir.Node, ...]
    weight: ir.Value

    @property
    def name(self) -> str:
        """The table's name: its torch module path."""
        return (self.weight.name or "").removesuffix(".weight")


def linear_layers(graph: ir.Graph) -> list[Linear]:
    """Return the graph's float linear layers in graph order."""
    return list(_linear_layers(graph))


def _linear_layers(graph: ir.Graph) -> Iterator[Linear]:
    for node in graph:
        if node.domain not in ("", "ai.onnx") or node.op_type not in ("MatMul", "Gemm"):
            continue
        activation, weight = node.inputs[0], node.inputs[1]
        if activation is None or weight is None or weight.const_value is None:
            continue
        if weight.dtype != ir.DataType.FLOAT or len(weight.const_value.shape) != 2:
            continue
        if is_constant(activation):
            continue  # of weights alone (DeBERTa's relative positions): a runtime computes it once, when it loads
        if node.op_type == "MatMul":
            yield Linear(node=node, transposed=False)
        elif _plain_gemm(node):
            transposed = bool(node.attributes["transB"].as_int()) if "transB" in node.attributes else False
            yield Linear(node=node, transposed=transposed)


def is_constant(value: ir.Value | None) -> bool:
    """Tell whether a value is computed of weights alone.

    Of every operator on the way, one computed input is followed: nothing in an encoder mixes what is fed with
    something that is computed of weights alone, but with weights themselves.
    """
    while value is not None and value.const_value is None:
        node = value.producer()
        if node is None:
            return False
        value = next((entry for entry in node.inputs if entry and entry.const_value is None), None)
    return True


def _picks_one(node: ir.Node) -> bool:
    """Tell whether a node takes one place of the sequence axis, which is gone afterwards."""
    if node.op_type != "Gather" or "axis" not in node.attributes or node.attributes["axis"].as_int() != 1:
        return False
    index = node.inputs[1]
    return index is not None and index.const_value is not None and len(index.const_value.shape) == 0


def _plain_gemm(node: ir.Node) -> bool:
    """Tell whether a Gemm is x W + b, without scaling and without a transposed x."""
    attributes = node.attributes
    scaled = any(name in attributes and attributes[name].as_float() != 1.0 for name in ("alpha", "beta"))
    turned = "transA" in attributes and attributes["transA"].as_int() != 0
    return not scaled and not turned


def embedding_tables(graph: ir.Graph) -> list[Table]:
    """Return the float32 tables that Gather nodes look rows up in, by first use."""
    found: dict[str, list[ir.Node]] = {}
    weights: dict[str, ir.Value] = {}
    for node in graph:
        if node.op_type != "Gather" or node.domain not in ("", "ai.onnx"):
            continue
        table = node.inputs[0]
        axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
        if table is None or table.const_value is None or table.name is None or axis != 0:
            continue
        if table.dtype != ir.DataType.FLOAT or len(table.const_value.shape) != 2:
            continue
        found.setdefault(table.name, []).append(node)
        weights[table.name] = table
    return [Table(nodes=tuple(nodes), weight=weights[name]) for name, nodes in found.items()]


def matching(names: Sequence[str], patterns: Sequence[str], *, key: str = "keep_float") -> set[str]:
    """Return the names that any of the glob patterns matches.

    A pattern matches a whole name (`*.attention.self.query`) or the end of its dotted path (`query`). Names that
    torch's exporter gave, such as `/bert/pooler/dense/MatMul`, match as module paths too.

    Raises:
        RecipeError: a pattern matches nothing.
    """
    kept: set[str] = set()
    for pattern in patterns:
        hits = {name for name in names if any(_fits(path, pattern) for path in (name, _module_path(name)))}
        if not hits:
            near = difflib.get_close_matches(pattern, [*names, *(name.split(".")[-1] for name in names)], n=1)
            hint = f"did you mean {near[0]}?" if near else f"layers are named like {', '.join(names[:2])}"
            raise RecipeError(
                f"{key}: the pattern {pattern!r} matches no layer; {hint} (`quantkit inspect` lists them all)"
            )
        kept |= hits
    return kept


def _fits(path: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, f"*.{pattern}")


def _module_path(name: str) -> str:
    """Return the torch module path in a name of torch's exporter; other names as they are."""
    if not name.startswith("/"):
        return name
    return re.sub(r"/(MatMul|Gemm)(_\d+)?$", "", name)[1:].replace("/", ".")
