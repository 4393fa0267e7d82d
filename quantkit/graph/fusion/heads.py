"""Recognises how projections are split into heads and merged again, from the reshapes and transposes."""

from dataclasses import dataclass

import onnx_ir as ir

from quantkit.graph.pattern import (
    Stopped,
    constant,
    int_attribute,
    integers,
    is_op,
    label,
    operand,
    producer_of,
    scalar,
    split_bias,
)

_SPLIT = (0, 2, 1, 3)


@dataclass(frozen=True, slots=True)
class Axis:
    """An element of a target shape that is read from another tensor's shape."""

    index: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Heads:
    """A projection [batch, sequence, count·size] before it is split: `linear` + `bias`, times `scale`."""

    linear: ir.Value
    bias: ir.Value | None
    count: int
    size: int
    scale: float
    nodes: tuple[ir.Node, ...]


def split_heads(value: ir.Value, reader: ir.Node, *, transposed: bool) -> Heads:
    """Walk back from an operand of an attention MatMul to its projection.

    Args:
        value: float32 [batch, heads, sequence, size], or [batch, heads, size, sequence] when `transposed`.
        reader: the MatMul that reads it.
        transposed: it is the key.

    Raises:
        Stopped: at the node that does something else.
    """
    nodes: list[ir.Node] = []
    order = (0, 1, 2, 3)
    scale = 1.0
    while True:
        node = producer_of(value, reader, "Transpose", "Reshape", "Mul", "Div")
        nodes.append(node)
        if node.op_type == "Reshape":
            break
        if node.op_type == "Transpose":
            step = _permutation(node)
            if len(step) != 4:
                raise Stopped(label(node), f"transposes {len(step)} axes, not 4")
            order = tuple(step[axis] for axis in order)  # type: ignore[assignment]
            value = operand(node, 0)
        else:
            value, factor = _factor(node)
            scale *= factor
        reader = node
    expected = (0, 2, 3, 1) if transposed else _SPLIT
    if order != expected:
        raise Stopped(label(reader), f"axes are in order {list(order)}, not {list(expected)}")
    flat = operand(node, 0)
    while is_op(flat.producer(), "Mul", "Div"):
        factor_node = flat.producer()
        assert factor_node is not None
        flat, factor = _factor(factor_node)
        nodes.append(factor_node)
        scale *= factor
    split = split_bias(flat)
    linear, bias = (flat, None) if split is None else split[:2]
    if split is not None:
        nodes.append(split[2])
    count, size = count_and_size(node, features_of(linear, bias))
    return Heads(linear=linear, bias=bias, count=count, size=size, scale=scale, nodes=tuple(nodes))


def merged_heads(mixed: ir.Node, features: int) -> tuple[ir.Node, ...]:
    """Return the nodes that merge heads back to [batch, sequence, heads·size]: Transpose first, Reshape last.

    Between them is what reads the shape of the one for the target of the other.

    Raises:
        Stopped: something else follows.
    """
    transpose = _next(mixed, "Transpose")
    if _permutation(transpose) != _SPLIT:
        raise Stopped(
            label(transpose), f"axes are in order {list(_permutation(transpose))}, not {list(_SPLIT)}"
        )
    reshape = _next(transpose, "Reshape")
    target = target_of(reshape)
    if len(target) != 3 or not keeps_front(target) or target[2] not in (-1, features):
        raise Stopped(label(reshape), f"does not merge to [batch, sequence, {features}]")
    return transpose, *_on_the_way(operand(reshape, 1), transpose), reshape


def _on_the_way(value: ir.Value, source: ir.Node) -> list[ir.Node]:
    """Return the nodes by which `value` is computed of what `source` makes, each once."""
    before: set[ir.Node] = set()
    waiting = [value.producer()]
    while waiting:
        node = waiting.pop()
        if node is not None and node is not source and node not in before:
            before.add(node)
            waiting.extend(part.producer() for part in node.inputs if part is not None)
    found: dict[ir.Node, None] = {}
    reached = [source]
    while reached:
        for output in reached.pop().outputs:
            for reader in output.consumers():
                if reader in before and reader not in found:
                    found[reader] = None
                    reached.append(reader)
    return list(found)


def _next(node: ir.Node, op_type: str) -> ir.Node:
    readers = set(node.outputs[0].consumers())
    found = next((reader for reader in node.outputs[0].consumers() if is_op(reader, op_type)), None)
    if found is None:
        names = " and ".join(sorted(f"{reader.op_type} {label(reader)}" for reader in readers)) or "nothing"
        raise Stopped(label(node), f"is followed by {names}, where a {op_type} is expected")
    return found


def _permutation(node: ir.Node) -> tuple[int, ...]:
    attribute = node.attributes.get("perm")
    return () if attribute is None else tuple(attribute.as_ints())


def _factor(node: ir.Node) -> tuple[ir.Value, float]:
    first, second = operand(node, 0), operand(node, 1)
    number = scalar(second)
    if number is not None:
        return first, number if node.op_type == "Mul" else 1.0 / number
    number = scalar(first)
    if number is not None and node.op_type == "Mul":
        return second, number
    raise Stopped(label(node), "multiplies or divides by something that is not a constant")


def features_of(linear: ir.Value, bias: ir.Value | None) -> int | None:
    """Return the features of a projection, from its bias or the weight of its MatMul."""
    tensor = constant(bias)
    if tensor is not None:
        return int(tensor.shape[0])  # type: ignore[arg-type]
    node = linear.producer()
    weight = constant(node.inputs[1]) if node is not None and is_op(node, "MatMul") else None
    return int(weight.shape[1]) if weight is not None and len(weight.shape) == 2 else None  # type: ignore[arg-type]


def count_and_size(reshape: ir.Node, hidden: int | None) -> tuple[int, int]:
    """Return how many heads a Reshape splits so many features into, and their size.

    Raises:
        Stopped: it does something else, or the numbers are computed.
    """
    target = target_of(reshape)
    if len(target) != 4 or not keeps_front(target):
        raise Stopped(label(reshape), "does not split into [batch, sequence, heads, size]")
    count, size = target[2], target[3]
    if hidden is None and target[:2] == [0, 0] and isinstance(count, int) and isinstance(size, int):
        hidden = count * size  # batch and sequence are copied, so the rest is what there is
    if hidden is None or not isinstance(count, int) or not isinstance(size, int):
        raise Stopped(label(reshape), "the number of heads is not constant")
    if count == -1 and size > 0 and hidden % size == 0:
        count = hidden // size
    elif size == -1 and count > 0 and hidden % count == 0:
        size = hidden // count
    if count * size != hidden or count < 1:
        raise Stopped(label(reshape), f"{hidden} features do not split into {count} heads of {size}")
    return count, size


def keeps_front(target: list[int | Axis | None]) -> bool:
    """Tell whether the first two elements are batch and sequence: copied (0), read from a shape, inferred."""
    return target[0] in (0, Axis(0)) and target[1] in (0, -1, Axis(1))


def target_of(reshape: ir.Node) -> list[int | Axis | None]:
    """Return the elements of the target shape: constants, axes of another shape, or None when unknown."""
    if int_attribute(reshape, "allowzero", 0) != 0:
        raise Stopped(label(reshape), "takes 0 in its shape literally")
    return _elements(operand(reshape, 1))


def _elements(value: ir.Value) -> list[int | Axis | None]:
    numbers = integers(value)
    if numbers is not None:
        return [*numbers]
    node = value.producer()
    if node is not None and is_op(node, "Concat"):
        return [element for part in node.inputs if part is not None for element in _elements(part)]
    if node is not None and is_op(node, "Unsqueeze", "Cast", "Identity"):
        return _elements(operand(node, 0))
    if node is not None and is_op(node, "Gather") and is_op(operand(node, 0).producer(), "Shape"):
        indices = integers(operand(node, 1))
        return [None] if indices is None else [Axis(index) for index in indices]
    return [None]
