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
        init: Init of the projections; `model.training.whitening` computes the whitenings.
        tuned_head: Head whose weight in the merged vector is chosen on the validation classes, if the init is whitened; None
            keeps all weights.

    Raises:
        InvalidInput: A loss term or `tuned_head` names a head that is not there.
    """

    architecture: Architecture
    losses: tuple[LossSpec, ...]
    init: Init = "random"
    tuned_head: str | None = None

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
        if self.tuned_head is not None and self.tuned_head not in heads:
            raise InvalidInput(f"There is no head {self.tuned_head} to tune.", f"Did you mean {nearest(self.tuned_head, heads)}?")


PROXY = LossSpec("normalized_softmax", "merged", 0.3)
"""The proxy-based term of `multi_head`, with its weight beside the pairwise term."""
PRINTED_PROXY = LossSpec("proxy_anchor", "merged", 0.03)
"""The proxy-based term of the inventors' paper."""


def hybrid(on: str, weight: float = 1.0, proxy: LossSpec = PROXY) -> tuple[LossSpec, LossSpec]:
    """A pairwise and a proxy-based term on one embedding: claims 2, 11 and 20."""
    return LossSpec("multi_similarity", on, weight), LossSpec(proxy.name, on, proxy.weight * weight)


def hybrid_everywhere(heads: float = 0.5, proxy: LossSpec = PROXY) -> tuple[LossSpec, ...]:
    """The hybrid loss on the merged vector with weight 1, and on both heads with weight `heads`."""
    return (*hybrid("merged", 1.0, proxy), *hybrid("global", heads, proxy), *hybrid("local", heads, proxy))


GLOBAL = HeadSpec("deep", 384, attention="second_order")
LOCAL = HeadSpec("shallow", 128, attention="second_order", channels=64, pooling="second_moment")

# The claims, with what measurements added to the paper: see docs/decisions/0003-multi-head.md.
MULTI_HEAD = Method(
    Architecture({"global": GLOBAL, "local": LOCAL}), losses=hybrid_everywhere(), init="whitened", tuned_head="local"
)

_PRINTED = {"attention": "second_order", "pooling": "average_plus_max", "layer_norm": False, "weight": None}
_LEARNER = HeadSpec("deep", 64, attention="mask", shared="embedding")

METHODS: dict[str, Method] = {
    "multi_head": MULTI_HEAD,
    # The paper's recipe as far as it is known: 256 + 256, merged unweighted, both losses on the merged vector and on each head.
    "multi_head_paper": Method(
        Architecture({"global": HeadSpec("deep", 256, **_PRINTED), "local": HeadSpec("shallow", 256, **_PRINTED)}),  # type: ignore[arg-type]
        losses=hybrid_everywhere(1.0, PRINTED_PROXY),
    ),
    # S. Kim et al., CVPR 2020: one head, one proxy a class.
    "proxy_anchor": Method(
        Architecture({"global": HeadSpec("deep", 512, pooling="average_plus_max", layer_norm=False)}),
        losses=(LossSpec("proxy_anchor", "merged"),),
    ),
    # W. Kim et al., ECCV 2018: eight masks on one map share one projection; their embeddings of an image are pushed apart.
    "abe": Method(
        Architecture({f"learner_{number}": _LEARNER for number in range(1, 9)}),
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
        init="whitened",  # with a random init it collapses: the triplet loss stays at its margin
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


def _with_heads(**heads: HeadSpec) -> Method:
    return replace(MULTI_HEAD, architecture=Architecture(heads))


def _with_attention(name: str) -> Method:
    return _with_heads(**{"global": replace(GLOBAL, attention=name), "local": replace(LOCAL, attention=name)})


def _alone(head: str, spec: HeadSpec) -> Method:
    return Method(Architecture({head: replace(spec, dimensions=512)}), losses=hybrid("merged", 1.5), init="whitened")


ABLATIONS: dict[str, Method] = {
    "global_only": _alone("global", GLOBAL),
    "local_only": _alone("local", LOCAL),
    "attention_none": _with_attention("none"),
    "attention_nonlocal": _with_attention("second_order_nonlocal"),
    "attention_channel": _with_attention("second_order_channel"),
    "attention_residual_mask": _with_attention("residual_mask"),
    "multi_similarity_only": replace(MULTI_HEAD, losses=tuple(s for s in MULTI_HEAD.losses if s.name == "multi_similarity")),
    "normalized_softmax_only": replace(MULTI_HEAD, losses=hybrid_everywhere(proxy=replace(PROXY, weight=1.0))[1::2]),
    "proxy_anchor_instead": replace(MULTI_HEAD, losses=hybrid_everywhere(proxy=PRINTED_PROXY)),
    "proxy_anchor_only": replace(MULTI_HEAD, losses=hybrid_everywhere(proxy=replace(PRINTED_PROXY, weight=1.0))[1::2]),
    "proxy_weight_third": replace(MULTI_HEAD, losses=hybrid_everywhere(proxy=replace(PROXY, weight=0.1))),
    "proxy_weight_threefold": replace(MULTI_HEAD, losses=hybrid_everywhere(proxy=replace(PROXY, weight=0.9))),
    "loss_on_merged_only": replace(MULTI_HEAD, losses=hybrid("merged")),
    "loss_on_heads_only": replace(MULTI_HEAD, losses=(*hybrid("global"), *hybrid("local"))),
    "local_weight_half": replace(_with_heads(**{"global": GLOBAL, "local": replace(LOCAL, weight=0.5)}), tuned_head=None),
    "local_weight_one": replace(MULTI_HEAD, tuned_head=None),
    "local_average": _with_heads(**{"global": GLOBAL, "local": replace(LOCAL, channels=None, pooling="average")}),
    "init_random": replace(MULTI_HEAD, init="random"),
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
