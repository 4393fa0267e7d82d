"""The fusion contract: as many fused operators as the config promises, or an error that says where not."""

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from quantkit.errors import FusionError
from quantkit.graph.fusion import PASSES
from quantkit.graph.fusion.clean_up import CleanUp
from quantkit.graph.fusion.embed_layer_norm import EmbedLayerNormalization
from quantkit.graph.fusion.passes import PassResult
from quantkit.graph.fusion.plain_form import plain_form

# Misses named per operator in one message; the rest are counted.
_NAMED = 3


def fuse_graph(model: ir.Model, *, embed_layer_norm: bool = True) -> tuple[PassResult, ...]:
    """Run every pass of the table over `model`, in place.

    Args:
        model: an exported encoder; its graph inputs are called input_ids, attention_mask[, token_type_ids].
        embed_layer_norm: also fuse the embeddings.

    Returns:
        One result per pass that ran, in order.
    """
    # What nothing reads any more must not look like a second reader to a pass.
    CleanUp()(model)
    plain_form(model)
    return tuple(make()(model) for make in PASSES if embed_layer_norm or make is not EmbedLayerNormalization)


def fused_counts(results: Sequence[PassResult]) -> dict[str, int]:
    """Return {operator: how many of it were made}, without the zeros."""
    return {
        result.name: result.matched for result in results if result.matched and result.name != CleanUp.name
    }


def check_contract(
    results: Sequence[PassResult], expected: Mapping[str, int], *, allow_partial: bool = False
) -> tuple[str, ...]:
    """Compare what was fused with what was promised.

    Args:
        results: what `fuse_graph` returned.
        expected: operator → how many of it there must be, at least.
        allow_partial: return the breaches in place of raising.

    Returns:
        One line per breach, such as
        `MultiHeadAttention: 5 of 6; bert.encoder.layer.3.attention.self: stopped at node …: reason`.

    Raises:
        FusionError: there is a breach, unless `allow_partial`.
    """
    breaches = []
    by_name = {result.name: result for result in results}
    for name, promised in expected.items():
        result = by_name.get(name, PassResult(name=name, matched=0))
        if result.matched < promised:
            breaches.append(_breach(result, promised))
    if breaches and not allow_partial:
        raise FusionError(f"{' | '.join(breaches)}; use --allow-partial-fusion to accept")
    return tuple(breaches)


def _breach(result: PassResult, promised: int) -> str:
    parts = [f"{result.name}: {result.matched} of {promised}"]
    parts += [str(miss) for miss in result.missed[:_NAMED]]
    if len(result.missed) > _NAMED:
        parts.append(f"and {len(result.missed) - _NAMED} more")
    if not result.missed:
        parts.append("nothing in the graph looks like it")
    return "; ".join(parts)
