"""The candidates of a training: the settings that selection compares."""

from dataclasses import dataclass

from model.networks.attention import IDENTITY_AT_INIT
from model.networks.methods import Init
from model.training.training_data import TrainingData


@dataclass(frozen=True)
class Candidate:
    """The settings of a training that selection compares.

    Attributes:
        init: Init of the projections. After a whitened one, training is relative to the init.
        learning_rate: Learning rate of the heads.
        whole_heads: Whether whole heads are trained, with attention and reductions; otherwise the residuals of their projections
            alone, without attention.
    """

    init: Init
    learning_rate: float
    whole_heads: bool

    def __str__(self) -> str:
        return f"{self.init} init, rate {self.learning_rate:g}, {'whole heads' if self.whole_heads else 'residuals alone'}"

    @property
    def slug(self) -> str:
        """The candidate as the name of a folder."""
        return f"{self.init}-{self.learning_rate:g}-{'whole' if self.whole_heads else 'residuals'}"


def candidates(data: TrainingData) -> list[Candidate]:
    """The candidates of a training, the simplest first.

    After a whitened init on a frozen trunk, training the residuals of the projections alone takes seconds; it comes first, and
    whole heads are one candidate more. They are the only choice after a random init, with a trunk that is trained, with an
    autoencoder, with blocks that are not the identity before training, and where attention was asked for by name.
    """
    config, architecture = data.config, data.method.architecture
    deeper = architecture.attentive or any(head.channels for head in architecture.heads.values())
    found = []
    for init in data.method.inits if config.init == "method" else (config.init,):
        alone = init == "whitened" and _may_train_residuals_alone(data)
        found += [Candidate(init, rate, whole_heads=not alone) for rate in config.compared_rates]
        if alone and deeper:
            found.append(Candidate(init, config.compared_rates[0], whole_heads=True))
    return found if config.epochs else found[:1]


def _may_train_residuals_alone(data: TrainingData) -> bool:
    """Whether nothing but the projections has to be trained, if their init is whitened."""
    architecture = data.method.architecture
    attention_named = {data.model.global_attention, data.model.local_attention} != {"method"}
    return (
        data.config.trunk != "finetune"
        and not architecture.autoencoder
        and all(head.attention in IDENTITY_AT_INIT for head in architecture.heads.values())
        and not (architecture.attentive and (data.method.keeps_attention or attention_named))
    )
