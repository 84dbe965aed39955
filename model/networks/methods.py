"""The methods: named compositions of taps, attention, pooling, heads and losses. A new method is a new entry in `METHODS`.

This module imports no torch, so the names can be checked quickly.
"""

from dataclasses import dataclass, replace
from typing import Literal

from model.errors import InvalidInput
from model.losses.terms import LossSpec
from model.named_parts import nearest
from model.networks.architecture import Architecture, HeadSpec

Init = Literal["whitened", "random"]
"""Init of the projections: in closed form, as whitenings of the training images, or at random."""


@dataclass(frozen=True)
class Method:
    """An architecture and how it is trained.

    Attributes:
        architecture: The heads.
        losses: The terms whose weighted sum is the training loss.
        inits: Inits of the projections that `model.training.selection` compares; `model.training.whitening` computes whitenings.
        tuned_heads: Heads whose weights in the merged vector are chosen on several folds, if the init is whitened.
        keeps_attention: Whether selection may not leave the attention blocks out.

    Raises:
        InvalidInput: A loss term or `tuned_heads` names a head that is not there.
    """

    architecture: Architecture
    losses: tuple[LossSpec, ...]
    inits: tuple[Init, ...] = ("whitened", "random")
    tuned_heads: tuple[str, ...] = ()
    keeps_attention: bool = False

    def __post_init__(self) -> None:
        heads = list(self.architecture.heads)
        outputs = ["attended", "reconstruction_error"] if self.architecture.autoencoder else []
        known = ["merged", "heads", *heads, *outputs]
        for term in self.losses:
            if term.on not in known:
                raise InvalidInput(
                    f"The loss term {term.name} reads {term.on}, which this method does not have.",
                    f"Did you mean {nearest(term.on, known)}?",
                )
        for tuned in self.tuned_heads:
            if tuned not in heads:
                raise InvalidInput(f"There is no head {tuned} to tune.", f"Did you mean {nearest(tuned, heads)}?")


PROXY = LossSpec("normalized_softmax", "merged", 0.3)
"""The proxy-based term of `multi_head`, with its weight beside the pairwise term."""
PRINTED_PROXY = LossSpec("proxy_anchor", "merged", 0.03)
"""The proxy-based term of the inventors' paper."""


def hybrid(on: str, weight: float = 1.0, proxy: LossSpec = PROXY) -> tuple[LossSpec, LossSpec]:
    """A pairwise and a proxy-based term on one embedding: claims 2, 11 and 20."""
    return LossSpec("multi_similarity", on, weight), LossSpec(proxy.name, on, proxy.weight * weight)


def hybrid_everywhere(*heads: str, weight: float = 0.5, proxy: LossSpec = PROXY) -> tuple[LossSpec, ...]:
    """The hybrid loss on the merged vector with weight 1, and on each of the heads with weight `weight`."""
    on_heads = (term for head in heads for term in hybrid(head, weight, proxy))
    return (*hybrid("merged", 1.0, proxy), *on_heads)


HEADS = {
    # What is seen: the mean of the deep map.
    "global": HeadSpec("deep", 256, attention="second_order"),
    # Which parts are seen together: second moments of the deep map.
    "parts": HeadSpec("deep", 192, attention="second_order", channels=64, pooling="second_moment", weight=0.5),
    # Texture and strokes: second moments of the shallow map, which also has the positions for local features.
    "local": HeadSpec("shallow", 64, attention="second_order", channels=64, pooling="second_moment", weight=0.5),
}

# The claims, with what measurements added to the paper: see docs/decisions/0003-multi-head.md.
MULTI_HEAD = Method(Architecture(HEADS), losses=hybrid_everywhere(*HEADS), inits=("whitened",), tuned_heads=("parts", "local"))

_PRINTED = {"attention": "second_order", "pooling": "average_plus_max", "layer_norm": False, "weight": None}
_MASKED = HeadSpec("deep", 64, attention="mask", shared="embedding")

METHODS: dict[str, Method] = {
    "multi_head": MULTI_HEAD,
    # The paper's recipe as far as it is known: 256 + 256, merged unweighted, both losses on the merged vector and on each head.
    "multi_head_paper": Method(
        Architecture({"global": HeadSpec("deep", 256, **_PRINTED), "local": HeadSpec("shallow", 256, **_PRINTED)}),  # type: ignore[arg-type]
        losses=hybrid_everywhere("global", "local", weight=1.0, proxy=PRINTED_PROXY),
        inits=("random",),
    ),
    # S. Kim et al., CVPR 2020: one head, one proxy a class.
    "proxy_anchor": Method(
        Architecture({"global": HeadSpec("deep", 512, pooling="average_plus_max", layer_norm=False)}),
        losses=(LossSpec("proxy_anchor", "merged"),),
    ),
    # W. Kim et al., ECCV 2018: eight masks on one map share one projection; their embeddings of an image are pushed apart.
    "abe": Method(
        Architecture({f"learner_{number}": _MASKED for number in range(1, 9)}),
        losses=(*(LossSpec("contrastive", f"learner_{number}") for number in range(1, 9)), LossSpec("divergence", "heads")),
    ),
    # Cao et al., ECCV 2020: ArcFace on a GeM-pooled head; local features learn beside it without a gradient to the trunk.
    "delg": Method(
        Architecture({"global": HeadSpec("deep", 512, pooling="gem", layer_norm=False)}, autoencoder=True),
        losses=(
            LossSpec("arcface", "merged"),
            LossSpec("softmax", "attended"),
            LossSpec("reconstruction", "reconstruction_error", 10.0),
        ),
    ),
    # Ng et al., ECCV 2020: second-order attention, GeM, a triplet loss and second-order similarity.
    "solar": Method(
        Architecture({"global": HeadSpec("deep", 512, attention="second_order", pooling="gem", layer_norm=False)}),
        losses=(LossSpec("triplet", "merged"), LossSpec("second_order_similarity", "merged", 10.0)),
    ),
    # Xia et al., ICCV 2019: second-order non-local attention, two embeddings of one map, each with two losses.
    "sona": Method(
        Architecture(
            {
                "global": HeadSpec("deep", 256, attention="second_order_nonlocal", layer_norm=False),
                "local": HeadSpec("deep", 256, attention="second_order_nonlocal", pooling="max", layer_norm=False),
            }
        ),
        losses=tuple(LossSpec(name, on) for on in ("global", "local") for name in ("normalized_softmax", "batch_hard")),
    ),
}
"""The methods by name: `multi_head` and the systems it is compared with."""


def _with_heads(heads: dict[str, HeadSpec]) -> Method:
    """`multi_head` with other heads of the same or of fewer names."""
    tuned = tuple(name for name in MULTI_HEAD.tuned_heads if name in heads)
    return replace(MULTI_HEAD, architecture=Architecture(heads), losses=hybrid_everywhere(*heads), tuned_heads=tuned)


def _with_attention(attention: str) -> Method:
    changed = _with_heads({name: replace(head, attention=attention) for name, head in HEADS.items()})
    return replace(changed, keeps_attention=attention != "none")


def _alone(name: str) -> Method:
    """One head of `multi_head`, as long as all of them."""
    head = replace(HEADS[name], dimensions=MULTI_HEAD.architecture.dimensions, weight=1.0)
    return replace(MULTI_HEAD, architecture=Architecture({name: head}), losses=hybrid("merged", 1.5), tuned_heads=())


def _two_heads(one: str, other: str) -> Method:
    """Two heads of `multi_head`; the first takes the dimensions of the third."""
    dimensions = MULTI_HEAD.architecture.dimensions - HEADS[other].dimensions
    return _with_heads({one: replace(HEADS[one], dimensions=dimensions), other: HEADS[other]})


def _average(head: str) -> Method:
    return _with_heads(HEADS | {head: replace(HEADS[head], channels=None, pooling="average")})


def _with_losses(losses: tuple[LossSpec, ...]) -> Method:
    return replace(MULTI_HEAD, losses=losses)


ABLATIONS: dict[str, Method] = {
    "global_only": _alone("global"),
    "parts_only": _alone("parts"),
    "local_only": _alone("local"),
    "global_and_parts": _two_heads("global", "parts"),
    "global_and_local": _two_heads("global", "local"),
    "parts_and_local": _two_heads("parts", "local"),
    "attention_none": _with_attention("none"),
    "attention_kept": replace(MULTI_HEAD, keeps_attention=True),
    "attention_nonlocal": _with_attention("second_order_nonlocal"),
    "attention_channel": _with_attention("second_order_channel"),
    "attention_residual_mask": _with_attention("residual_mask"),
    "multi_similarity_only": _with_losses(tuple(s for s in MULTI_HEAD.losses if s.name == "multi_similarity")),
    "normalized_softmax_only": _with_losses(hybrid_everywhere(*HEADS, proxy=replace(PROXY, weight=1.0))[1::2]),
    "proxy_anchor_instead": _with_losses(hybrid_everywhere(*HEADS, proxy=PRINTED_PROXY)),
    "proxy_anchor_only": _with_losses(hybrid_everywhere(*HEADS, proxy=replace(PRINTED_PROXY, weight=1.0))[1::2]),
    "proxy_weight_third": _with_losses(hybrid_everywhere(*HEADS, proxy=replace(PROXY, weight=0.1))),
    "proxy_weight_threefold": _with_losses(hybrid_everywhere(*HEADS, proxy=replace(PROXY, weight=0.9))),
    "loss_on_merged_only": _with_losses(hybrid("merged")),
    "loss_on_heads_only": _with_losses(hybrid_everywhere(*HEADS)[2:]),
    "weights_one": replace(_with_heads({name: replace(head, weight=1.0) for name, head in HEADS.items()}), tuned_heads=()),
    "parts_average": _average("parts"),
    "local_average": _average("local"),
    "init_random": replace(MULTI_HEAD, inits=("random",)),
}
"""Ablations: `multi_head` with one part changed in each. docs/ablation.md has the figures."""


def method_names() -> list[str]:
    """All names that `model.method` may have."""
    return [*METHODS, *ABLATIONS]


def get_method(name: str, *, global_attention: str = "method", local_attention: str = "method") -> Method:
    """The method of that name.

    Args:
        name: Name in `METHODS` or `ABLATIONS`.
        global_attention: Attention block of the head `global`, by its name in `model.networks.attention.ATTENTION`; `method`
            keeps the method's block.
        local_attention: The same for the head `local`.

    Raises:
        InvalidInput: There is no such method, or it has no such head.
    """
    known = METHODS | ABLATIONS
    if name not in known:
        raise InvalidInput(f"There is no method {name}.", f"Did you mean {nearest(name, known)}?")
    method = known[name]
    for head, attention in (("global", global_attention), ("local", local_attention)):
        if attention != "method":
            method = _replace_attention(name, method, head, attention)
    return method


def _replace_attention(name: str, method: Method, head: str, attention: str) -> Method:
    heads = method.architecture.heads
    if head not in heads:
        raise InvalidInput(f"The method {name} has no {head} head.", f"Leave model.{head}_attention out.")
    changed = heads | {head: replace(heads[head], attention=attention)}
    return replace(method, architecture=replace(method.architecture, heads=changed))
