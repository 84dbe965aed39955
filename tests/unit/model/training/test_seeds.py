"""Every system of the seeds, trained on a handful of drawn images: the loss falls, and what is stored says the same again.

Rows: 1 the claimed architecture, 2 its serving (tests/integration/test_serving.py), 3 Proxy Anchor, 4 ABE-M, 5 DELG, 6 SOLAR,
7 SONA, 8 SAN's channel attention, 9 Wang's residual mask, 10 the inventors' paper and its ablations.
"""

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from model.config import ModelConfig, TrainConfig
from model.data.cache.feature_maps import feature_maps, features_folder
from model.data.images import decode_image, normalise, resize
from model.data.manifest import read_manifest
from model.evaluation.metrics import evaluate_retrieval
from model.losses.hybrid import HybridLoss
from model.losses.terms import LossSpec
from model.networks.attention.residual_mask import ResidualMask
from model.networks.attention.second_order import SecondOrderAttention
from model.networks.attention.second_order_channel import SecondOrderChannelAttention
from model.networks.attention.second_order_nonlocal import SecondOrderNonLocalAttention
from model.networks.heads import RetrievalNetwork
from model.networks.methods import ABLATIONS, METHODS, Method, get_method
from model.networks.stored import NetworkSpec, load_network
from model.retrieval.geometric_verification import count_inliers, rerank
from model.retrieval.local_features import extract
from model.schemas.train_report import TrainReport
from model.training import train as training
from model.training import training_data
from model.training.fold_trials import FoldTrial
from model.training.merge_weights import MERGE_WEIGHTS
from model.training.train import train
from tests.support.datasets import make_dataset
from tests.support.images import scenery

pytestmark = pytest.mark.slow

SIZE = 64
MD5 = "a" * 32
GENTLY = {"epochs": 30, "rate": 3e-4}
"""For `multi_head`: a projection of second moments moves far in a step."""


def small_method(name: str, **attention: str) -> Method:
    """A method whose second moments are of 16 channels: 136 of them, not 2,080."""
    method = get_method(name, **attention)
    heads = {key: replace(head, channels=head.channels and 16) for key, head in method.architecture.heads.items()}
    return replace(method, architecture=replace(method.architecture, heads=heads))


def last_epoch(trial: FoldTrial) -> int:
    """The last epoch of a trial, in place of the one that is kept."""
    return len(trial.figures("map_at_r")) - 1


@dataclass(frozen=True)
class Trained:
    """What a training left: its report, its folder, and what the network said of every image before it was stored."""

    report: TrainReport
    out: Path
    said: torch.Tensor

    @property
    def losses(self) -> list[float]:
        return [entry.loss for entry in self.report.history[1:]]

    @property
    def network(self) -> RetrievalNetwork:
        return load_network(NetworkSpec.load(self.out), self.out)


class Trainer:
    """Trains methods on one data set, whose maps are computed once."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch = folder, patch
        self.dataset = make_dataset(folder / "data")
        self.manifest = read_manifest(self.dataset)

    def images(self, network: RetrievalNetwork) -> torch.Tensor:
        """All images as the trunk is given them, in the manifest's order."""
        decoded = [decode_image((self.dataset / path).read_bytes()) for path in self.manifest.paths]
        batch = torch.stack([resize(image, SIZE) for image in decoded])
        return normalise(batch, network.trunk.mean, network.trunk.std)

    @torch.inference_mode()
    def embed(self, network: RetrievalNetwork) -> torch.Tensor:
        """(N, D): the merged embedding of all images, with weights in one memory format, because the last bit depends on it."""
        return network.eval().to(memory_format=torch.channels_last)(self.images(network)).merged  # type: ignore[call-overload]

    def train(self, method: str, *, epochs: int = 20, init: str = "random", rate: float = 1e-2, **attention: str) -> Trained:
        """One step an epoch, on all images of four classes; what is stored is the last epoch's, not the best one's.

        Whitening takes time, so all but two trainings start at random; those have fewer second moments.
        """
        settings = ModelConfig(method=method, trunk="test_efficientnet", weights="none", image_size=SIZE, **attention)
        config = TrainConfig(
            epochs=epochs,
            classes_per_batch=4,
            images_per_class=4,
            init=init,
            learning_rates=(rate,),
            folds=1,
            warmup_epochs=0,
            patience=1000,
            device="cpu",
        )
        out = self.folder / "-".join([method, init, *(f"{key}={value}" for key, value in attention.items()), str(epochs)])
        said, store = [], training.save_network

        def spy(network: RetrievalNetwork, spec: NetworkSpec, folder: Path) -> None:
            said.append(self.embed(network))
            store(network, spec, folder)

        with self.patch.context() as patch:
            patch.setattr(training, "save_network", spy)
            if init == "random":
                patch.setattr(training_data, "get_method", small_method)
            patch.setattr(FoldTrial, "kept", property(last_epoch))
            report = train(self.dataset, settings, config, data_md5=MD5, work=self.folder / "work", out=out)
        return Trained(report, out, said[0])

    def check(self, trained: Trained, fall: float = 0.8) -> None:
        """The loss fell; the stored network is the trained one, bit by bit, and as good as it was found to be."""
        assert trained.losses[-1] < fall * trained.losses[0], trained.losses
        self.check_stored(trained)

    def check_stored(self, trained: Trained) -> None:
        again = self.embed(trained.network)
        assert torch.equal(again, trained.said)
        assert torch.equal(again, self.embed(trained.network))
        assert again.shape == (len(self.manifest), 512)
        assert again.norm(dim=1).numpy() == pytest.approx(np.ones(len(again)), abs=1e-5)
        assert again.std(dim=0).max() > 1e-3, "images are told apart"
        assert trained.report.history[-1].map_at_r == pytest.approx(self.map_at_r(trained.network), abs=1e-9)

    @torch.inference_mode()
    def map_at_r(self, network: RetrievalNetwork) -> float:
        """On the validation classes, from the maps that training kept: they are rounded."""
        seen = self.manifest.classified
        maps = feature_maps(seen, network.trunk, SIZE, features_folder(self.folder / "work", MD5, network.trunk, SIZE), None)
        rows = seen.rows("val")
        found = evaluate_retrieval(network(*maps[rows]).merged.numpy(), seen.labels[rows], seen.ids[rows])
        return float(found.map_at_r[found.has_match].mean())


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield Trainer(tmp_path_factory.mktemp("seeds"), patch)


def test_row_1_the_claimed_architecture_learns_from_its_whitened_init(trainer):
    trained = trainer.train("multi_head", init="whitened", global_attention="second_order", **GENTLY)
    trainer.check(trained, fall=0.99)  # it starts near where it ends: the whitening of 16 images tells them apart
    heads = trained.network.heads
    assert [(name, type(head.attention), head.spec.tap) for name, head in heads.named_heads()] == [
        ("global", SecondOrderAttention, "deep"),
        ("local", SecondOrderAttention, "shallow"),
        ("parts", SecondOrderAttention, "deep"),
    ]
    assert heads.weights[0].item() == 1
    assert set(heads.weights[1:].tolist()) <= set(np.float32(MERGE_WEIGHTS).tolist()), "chosen on the held-out classes"


def test_row_1_local_vectors_come_with_their_positions(trainer):
    network = trainer.train("multi_head").network
    (found,) = extract(network, [scenery(side=224)], 64)
    assert found.descriptors.shape == (16, 64)
    assert sorted(map(tuple, found.positions.tolist())) == [(x, y) for x in (8, 24, 40, 56) for y in (8, 24, 40, 56)]
    assert np.unique(found.descriptors.round(4), axis=0).shape == (16, 64), "they differ from region to region"


@pytest.mark.parametrize("off", [("global",), ("local",), ("global", "local")], ids="+".join)
def test_row_1_either_attention_block_may_be_switched_off(trainer, off):
    trained = trainer.train("multi_head", **GENTLY, **{f"{head}_attention": "none" for head in off})
    trainer.check(trained, fall=0.9)
    with_weights = {name for name, head in trained.network.heads.named_heads() if list(head.attention.parameters())}
    assert with_weights == {"global", "parts", "local"} - set(off)


@pytest.mark.parametrize(
    ("loss", "head"), list(product(["multi_similarity", "normalized_softmax", "proxy_anchor"], ["global", "local"]))
)
def test_row_1_either_loss_may_stand_on_either_head_alone(trainer, loss, head):
    torch.manual_seed(0)
    spec = NetworkSpec("multi_head", "test_efficientnet", SIZE, METHODS["multi_head"].architecture)
    network = spec.build()
    for block in network.heads.heads.values():  # as trained: at the start no gradient goes through a psi of zero
        torch.nn.init.normal_(block.attention.psi.weight, std=0.01)
    term = HybridLoss([LossSpec(loss, head)], network.heads.widths, len(trainer.manifest.classes))
    term(network(trainer.images(network)), torch.from_numpy(trainer.manifest.labels)).backward()
    for name, block in network.heads.named_heads():
        moved = [parameter.grad is not None and bool(parameter.grad.abs().max() > 0) for parameter in block.parameters()]
        assert any(moved) == (name == head)


def test_row_3_proxy_anchor(trainer):
    trained = trainer.train("proxy_anchor")
    trainer.check(trained)
    assert [name for name, _ in trained.network.heads.named_heads()] == ["global"]


def test_row_4_abe_keeps_one_embedding_behind_eight_masks_that_differ(trainer):
    trained = trainer.train("abe")
    trainer.check(trained)
    network = trained.network
    blocks = [head for _, head in network.heads.named_heads()]
    assert len(blocks) == 8
    assert len({id(block.projection) for block in blocks}) == 1
    with torch.inference_mode():
        said = network(trainer.images(network))
    assert torch.pdist(said.on("heads")[:, 0]).min() > 0.01, "learners see one image differently"


@pytest.fixture(scope="module")
def delg(trainer):
    return trainer.train("delg", rate=3e-3)


def test_row_5_delg_learns_global_and_local_features(trainer, delg):
    trainer.check(delg)
    before, after = trainer.train("delg", epochs=0).network, delg.network
    learnt = dict(after.heads.autoencoder.named_parameters())
    for name, value in before.heads.autoencoder.named_parameters():
        assert not torch.equal(value, learnt[name]), name
    errors = []
    for network in (before, after):
        with torch.inference_mode():
            shallow, _ = network.trunk(trainer.images(network))
            errors.append(network.heads.autoencoder(shallow)["reconstruction_error"].mean().item())
    assert errors[1] < 0.9 * errors[0]


def test_row_5_delgs_local_descriptors_rank_a_shifted_copy_first(delg):
    image, side = scenery(side=224), 160
    shifted, others = image[:, 32 : 32 + side, 48 : 48 + side], [scenery(seed, 224)[:, :side, :side] for seed in (1, 2, 3)]
    query, *candidates = extract(delg.network, [image[:, :side, :side], *others, shifted], side)
    assert query.descriptors.shape == (100, 128)
    found = rerank(query, candidates, np.float32([0.68, 0.66, 0.64, 0.62]), budget_ms=1e9)
    assert found.order[0] == 3
    assert found.inliers[0] >= 10 > max(count_inliers(query, other) for other in candidates[:3])


def test_row_6_solar(trainer):
    # On a random trunk's maps, all alike, hard negatives alone would draw everything to one spot: it is spread out first.
    trained = trainer.train("solar", init="whitened", rate=3e-4, global_attention="second_order")
    trainer.check(trained)
    attention = trained.network.heads.head("global").attention
    assert isinstance(attention, SecondOrderAttention)
    assert attention.psi.weight.abs().max() > 0


def test_row_7_sona(trainer):
    trained = trainer.train("sona")
    trainer.check(trained)
    for _, head in trained.network.heads.named_heads():
        assert isinstance(head.attention, SecondOrderNonLocalAttention)
        assert head.attention.projection.weight.abs().max() > 0


@pytest.mark.parametrize("head", ["global", "local"])
def test_row_8_sans_channel_attention_on_either_head(trainer, head):
    trained = trainer.train("multi_head", **GENTLY, **{f"{head}_attention": "second_order_channel"})
    trainer.check(trained, fall=0.9)
    attention = trained.network.heads.head(head).attention
    assert isinstance(attention, SecondOrderChannelAttention)
    assert attention.excite.weight.abs().max() > 0


@pytest.mark.parametrize("head", ["global", "local"])
def test_row_9_wangs_residual_mask_on_either_head(trainer, head):
    trained = trainer.train("multi_head", **GENTLY, **{f"{head}_attention": "residual_mask"})
    trainer.check(trained, fall=0.9)
    attention = trained.network.heads.head(head).attention
    assert isinstance(attention, ResidualMask)
    assert attention.leave.weight.abs().max() > 0


def test_row_10_the_papers_recipe(trainer):
    trained = trainer.train("multi_head_paper")
    trainer.check(trained)
    assert [head.projection.out_features for _, head in trained.network.heads.named_heads()] == [256, 256]


@pytest.mark.parametrize("name", sorted(ABLATIONS))
def test_row_10_every_ablation_trains(trainer, name):
    trained = trainer.train(name, epochs=6, rate=1e-4)
    assert trained.losses[-1] < trained.losses[0]
    trainer.check_stored(trained)
