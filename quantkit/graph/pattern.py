"""The vocabulary of patterns: constants, operands, who else uses a value, replacing and pruning."""

import itertools
from collections.abc import Collection, Iterable

import onnx_ir as ir


class Stopped(Exception):
    """A match ended at a node. It never leaves the pass that looks for it: there it becomes a `Miss`."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(f"{node}: {reason}")
        self.node = node
        self.reason = reason


def label(node: ir.Node) -> str:
    """Return how a node is called in a reason: its name, or its operator when it has none."""
    return node.name or f"(unnamed {node.op_type})"


def is_op(node: ir.Node | None, *op_types: str) -> bool:
    """Tell whether `node` is one of these operators of the ONNX standard."""
    return node is not None and node.domain == "" and node.op_type in op_types


def producer_of(value: ir.Value, reader: ir.Node, *op_types: str) -> ir.Node:
    """Return the node that makes `value`, which must be one of `op_types`.

    Raises:
        Stopped: at `reader`, when the value comes from elsewhere.
    """
    node = value.producer()
    if node is None or not is_op(node, *op_types):
        raise Stopped(
            label(reader), f"its input comes from {origin(value)}, not from {' or '.join(op_types)}"
        )
    return node


def origin(value: ir.Value) -> str:
    """Describe where a value comes from, for a reason."""
    node = value.producer()
    if node is not None:
        return f"{node.op_type} {label(node)}"
    return f"the {'weight' if value.is_initializer() else 'input'} {value.name}"


def operand(node: ir.Node, index: int) -> ir.Value:
    """Return an input that the operator cannot do without.

    Raises:
        Stopped: the node lacks it.
    """
    value = optional_operand(node, index)
    if value is None:
        raise Stopped(label(node), f"has no input {index}")
    return value


def optional_operand(node: ir.Node, index: int) -> ir.Value | None:
    """Return an input, or None when it is left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def stored(value: ir.Value) -> ir.Value:
    """Follow Identity nodes back to the value that is stored: exporters share equal weights through them."""
    node = value.producer()
    while node is not None and is_op(node, "Identity") and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value


def constant(value: ir.Value | None) -> ir.TensorProtocol | None:
    """Return the tensor of an initializer or Constant node, or None when the value is computed or fed."""
    if value is None:
        return None
    value = stored(value)
    return None if value.is_graph_input() else ir.convenience.get_const_tensor(value)


def scalar(value: ir.Value | None) -> float | None:
    """Return the number of a constant with exactly one element, else None."""
    tensor = constant(value)
    return float(tensor.numpy().reshape(())) if tensor is not None and tensor.size == 1 else None


def integers(value: ir.Value | None) -> list[int] | None:
    """Return the elements of a constant of at most one axis as integers, else None."""
    tensor = constant(value)
    return (
        [int(item) for item in tensor.numpy().reshape(-1)]
        if tensor is not None and len(tensor.shape) <= 1
        else None
    )


def vector_length(value: ir.Value | None) -> int | None:
    """Return the length of a constant with one axis, such as a bias, else None."""
    tensor = constant(value)
    return int(tensor.shape[0]) if tensor is not None and len(tensor.shape) == 1 else None  # type: ignore[arg-type]


def split_bias(value: ir.Value) -> tuple[ir.Value, ir.Value, ir.Node] | None:
    """Return (base, bias, Add node) when `value` is base + a one-axis constant, on either side; else None."""
    node = value.producer()
    if node is None or not is_op(node, "Add"):
        return None
    first, second = operand(node, 0), operand(node, 1)
    for base, bias in ((first, second), (second, first)):
        if vector_length(bias) is not None and constant(base) is None:
            return base, stored(bias), node
    return None


def int_attribute(node: ir.Node, name: str, default: int) -> int:
    """Return an integer attribute or its default."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def require_private(nodes: Collection[ir.Node], output: ir.Value) -> None:
    """Require that nothing outside `nodes` reads what they make, but for `output`.

    Raises:
        Stopped: at the node whose output somebody else needs.
    """
    for node in nodes:
        for value in node.outputs:
            if value is output:
                continue
            if value.is_graph_output():
                raise Stopped(label(node), f"its output {value.name} is an output of the graph")
            for consumer in value.consumers():
                if consumer not in nodes:
                    raise Stopped(
                        label(node), f"its output is also used by {consumer.op_type} {label(consumer)}"
                    )


def replace(graph: ir.Graph, old: ir.Value, new: ir.Value) -> None:
    """Let `new` take the name, type and uses of `old`, and remove the nodes that nothing needs any more."""
    node = old.producer()
    assert node is not None
    name = old.name
    old.name = f"{name}/unfused"
    new.name, new.type, new.shape = name, old.type, old.shape
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    prune(graph, [node])


def prune(graph: ir.Graph, nodes: Iterable[ir.Node]) -> None:
    """Remove nodes whose outputs nobody reads, and then what only they needed."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node.graph is not graph or any(value.uses() or value.is_graph_output() for value in node.outputs):
            continue
        sources = [value.producer() for value in node.inputs if value is not None]
        graph.remove(node, safe=True)
        waiting.extend(source for source in sources if source is not None)


def int32_input(graph: ir.Graph, value: ir.Value) -> ir.Value:
    """Return `value` cast to int32; passes that need the same cast share one node, named after the value."""
    for consumer in value.consumers():
        if is_op(consumer, "Cast") and int_attribute(consumer, "to", 0) == ir.DataType.INT32:
            return consumer.outputs[0]
    name = f"{value.name}/int32"
    cast = ir.node("Cast", [value], attributes={"to": ir.DataType.INT32}, name=name)
    cast.outputs[0].name = name
    cast.outputs[0].dtype = ir.DataType.INT32
    cast.outputs[0].shape = value.shape
    source = value.producer()
    if source is None:
        graph.insert_before(graph[0], cast)
    else:
        graph.insert_after(source, cast)
    return cast.outputs[0]


def fused_name(node: ir.Node, op_type: str) -> str:
    """Return the name of the node that replaces the pattern around `node`: same scope, new operator."""
    scope, slash, _ = label(node).rpartition("/")
    return f"{scope}/{op_type}" if slash else f"{label(node)}/{op_type}"


def common_scope(names: Iterable[str]) -> str:
    """Return the module path that encloses all these nodes: the longest common prefix of whole parts."""
    parts = [name.strip("/").replace("/", ".").split(".") for name in names]
    scopes = zip(*(part[:-1] for part in parts), strict=False)
    return ".".join(level[0] for level in itertools.takewhile(lambda level: len(set(level)) == 1, scopes))
