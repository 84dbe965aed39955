"""The methods: named compositions of taps, attention, pooling, heads and losses. A new method is a new entry here."""

from dataclasses import dataclass, replace
from typing import Literal

from model.errors import InvalidInput


@dataclass(frozen=True)
class HeadSpec:
    """One head of the network.

    Attributes:
        tap: The feature map it reads: the trunk's last (`deep`) or the one before (`shallow`).
        dimensions: Length of its embedding.
        attention: A name in `model.networks.attention.ATTENTION`.
        channels: A 1x1 convolution to so many channels stands before the pooling; None: the map's own.
        pooling: A name in `model.networks.pooling.POOLING`.
        layer_norm: Whether the pooled vector is standardised (no parameters) before the projection.
        weight: What its embedding is multiplied by in the merged vector; None leaves it at its own length.
        shared: Heads that name the same projection share its weights; None: one of its own.
    """

    tap: Literal["shallow", "deep"]
    dimensions: int
    attention: str = "none"
    channels: int | None = None
    pooling: str = "average"
    layer_norm: bool = True
    weight: float | None = 1.0
    shared: str | None = None


@dataclass(frozen=True)
class Architecture:
    """What the network is made of beside its trunk: what a release must remember to be built again.

    Attributes:
        heads: By name, in the order in which they are concatenated to the merged vector.
        autoencoder: Whether DELG's attention and autoencoder stand on the shallow map, for local features alone.
    """

    heads: dict[str, HeadSpec]
    autoencoder: bool = False

    @property
    def dimensions(self) -> int:
        """Length of the merged embedding."""
        return sum(head.dimensions for head in self.heads.values())


@dataclass(frozen=True)
class LossSpec:
    """One term of the training loss.

    Attributes:
        name: In `model.losses.hybrid.TERMS`.
        on: What it stands on: `merged`, a head by its name, `heads` (all of them), or one of the autoencoder's outputs,
            `attended` and `reconstruction_error`.
        weight: In the sum.
    """

    name: str
    on: str
    weight: float = 1.0


Start = Literal["whitened", "random"]


@dataclass(frozen=True)
class Method:
    """An architecture and how it is trained.

    Attributes:
        architecture: The heads.
        losses: What is summed.
        start: Projections start as whitenings of the training images (`model.training.whitening`) or at random.
        weighed: The head whose weight in the merged vector is chosen on the validation classes, after it was whitened.
    """

    architecture: Architecture
    losses: tuple[LossSpec, ...]
    start: Start = "random"
    weighed: str | None = None


PROXY = LossSpec("normalized_softmax", "merged", 0.3)
"""The proxy-based half of `multi_head`'s loss, and its weight beside the pairwise one."""
PRINTED_PROXY = LossSpec("proxy_anchor", "merged", 0.03)
"""The paper's."""


def hybrid(on: str, weight: float = 1.0, proxy: LossSpec = PROXY) -> tuple[LossSpec, LossSpec]:
    """A pairwise and a proxy-based loss together: claims 2, 11 and 20."""
    return LossSpec("multi_similarity", on, weight), LossSpec(proxy.name, on, proxy.weight * weight)


def hybrid_everywhere(heads: float = 0.5, proxy: LossSpec = PROXY) -> tuple[LossSpec, ...]:
    """The hybrid loss on the merged vector and, so weighed, on both heads."""
    return (*hybrid("merged", 1.0, proxy), *hybrid("global", heads, proxy), *hybrid("local", heads, proxy))


GLOBAL = HeadSpec("deep", 384, attention="second_order")
LOCAL = HeadSpec("shallow", 128, attention="second_order", channels=64, pooling="second_moment")

# The claims, with what measurement adds to the paper's print: see docs/decisions/0003-multi-head.md.
MULTI_HEAD = Method(
    Architecture({"global": GLOBAL, "local": LOCAL}), losses=hybrid_everywhere(), start="whitened", weighed="local"
)

_PRINTED = {"attention": "second_order", "pooling": "average_plus_max", "layer_norm": False, "weight": None}
_LEARNER = HeadSpec("deep", 64, attention="mask", shared="embedding")

METHODS: dict[str, Method] = {
    "multi_head": MULTI_HEAD,
    # The paper's recipe as far as it is known: 256 + 256, merged as they are, both losses on the merged vector and on each head.
    "multi_head_paper": Method(
        Architecture({"global": HeadSpec("deep", 256, **_PRINTED), "local": HeadSpec("shallow", 256, **_PRINTED)}),  # type: ignore[arg-type]
        losses=hybrid_everywhere(1.0, PRINTED_PROXY),
    ),
    # S. Kim et al., CVPR 2020: one head, one proxy a class.
    "proxy_anchor": Method(
        Architecture({"global": HeadSpec("deep", 512, pooling="average_plus_max", layer_norm=False)}),
        losses=(LossSpec("proxy_anchor", "merged"),),
    ),
    # W. Kim et al., ECCV 2018: eight masks on one map, one embedding behind all of them, pushed apart for each image.
    "abe": Method(
        Architecture({f"learner_{number}": _LEARNER for number in range(1, 9)}),
        losses=(*(LossSpec("contrastive", f"learner_{number}") for number in range(1, 9)), LossSpec("divergence", "heads")),
    ),
    # Cao et al., ECCV 2020: ArcFace on a GeM-pooled head; local features learn beside it, and nothing of that reaches the trunk.
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
        start="whitened",  # from a random start it collapses: the triplet loss stays at its margin
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
"""The systems of the seeds, by name."""


def _with_heads(**heads: HeadSpec) -> Method:
    return replace(MULTI_HEAD, architecture=Architecture(heads))


def _with_attention(name: str) -> Method:
    return _with_heads(**{"global": replace(GLOBAL, attention=name), "local": replace(LOCAL, attention=name)})


def _alone(head: str, spec: HeadSpec) -> Method:
    return Method(Architecture({head: replace(spec, dimensions=512)}), losses=hybrid("merged", 1.5), start="whitened")


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
    "local_weight_half": replace(_with_heads(**{"global": GLOBAL, "local": replace(LOCAL, weight=0.5)}), weighed=None),
    "local_weight_one": replace(MULTI_HEAD, weighed=None),
    "local_average": _with_heads(**{"global": GLOBAL, "local": replace(LOCAL, channels=None, pooling="average")}),
    "start_random": replace(MULTI_HEAD, start="random"),
}
"""`multi_head` with one thing changed each: what each part is worth, docs/ablation.md."""


def get_method(name: str, *, global_attention: str = "method", local_attention: str = "method") -> Method:
    """The method of that name.

    Args:
        name: In `METHODS` or `ABLATIONS`.
        global_attention: Attention of the head `global`, in `model.networks.attention.ATTENTION`; `method`: the method's own.
        local_attention: Likewise of the head `local`.

    Raises:
        InvalidInput: There is none, or it has no such head.
    """
    known = METHODS | ABLATIONS
    if name not in known:
        raise InvalidInput(f"There is no method {name}.", f"Methods: {', '.join(known)}.")
    method = known[name]
    for head, attention in (("global", global_attention), ("local", local_attention)):
        if attention != "method":
            method = _attending(name, method, head, attention)
    return method


def _attending(name: str, method: Method, head: str, attention: str) -> Method:
    heads = method.architecture.heads
    if head not in heads:
        raise InvalidInput(f"The method {name} has no {head} head.", f"Leave model.{head}_attention out.")
    changed = heads | {head: replace(heads[head], attention=attention)}
    return replace(method, architecture=replace(method.architecture, heads=changed))
