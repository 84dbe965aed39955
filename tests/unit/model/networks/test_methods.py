import subprocess
import sys
from dataclasses import replace

import pytest

from model.errors import InvalidInput
from model.losses.terms import LossSpec
from model.networks.architecture import Architecture, HeadSpec
from model.networks.attention import ATTENTION
from model.networks.methods import ABLATIONS, METHODS, MULTI_HEAD, PRINTED_PROXY, Method, get_method, hybrid
from model.networks.pooling import POOLING

EVERY = METHODS | ABLATIONS


def test_no_ablation_takes_a_methods_name():
    assert not METHODS.keys() & ABLATIONS.keys()


@pytest.mark.parametrize("name", sorted(EVERY))
def test_every_method_names_only_what_there_is(name):
    method = EVERY[name]
    heads = method.architecture.heads
    assert {spec.attention for spec in heads.values()} <= ATTENTION.keys()
    assert {spec.pooling for spec in heads.values()} <= POOLING.keys()


@pytest.mark.parametrize("name", sorted(ABLATIONS))
def test_every_ablation_differs_from_the_method(name):
    assert ABLATIONS[name] != MULTI_HEAD
    assert sum(one is ABLATIONS[name] or one == ABLATIONS[name] for one in EVERY.values()) == 1


def test_the_attention_of_either_head_may_be_another():
    heads = get_method("multi_head", local_attention="residual_mask").architecture.heads
    assert (heads["global"].attention, heads["local"].attention) == ("second_order", "residual_mask")
    heads = get_method("sona", global_attention="none", local_attention="second_order").architecture.heads
    assert [head.attention for head in heads.values()] == ["none", "second_order"]
    assert METHODS["sona"].architecture.heads["global"].attention == "second_order_nonlocal", "the method itself stays"


def test_nothing_else_changes_with_the_attention_and_the_methods_own_changes_nothing():
    changed = get_method("multi_head", global_attention="none", local_attention="none")
    heads = {name: replace(head, attention="second_order") for name, head in changed.architecture.heads.items()}
    assert replace(changed, architecture=Architecture(heads)) == MULTI_HEAD != changed
    assert get_method("multi_head", global_attention="second_order", local_attention="second_order") == MULTI_HEAD
    assert get_method("multi_head", global_attention="method", local_attention="method") is MULTI_HEAD


@pytest.mark.parametrize(("name", "head"), [("proxy_anchor", "local"), ("local_only", "global"), ("abe", "global")])
def test_attention_for_a_head_that_is_not_there_is_an_error_that_names_the_setting(name, head):
    with pytest.raises(InvalidInput, match=f"The method {name} has no {head} head") as caught:
        get_method(name, **{f"{head}_attention": "none"})
    assert f"model.{head}_attention" in caught.value.hint


def test_the_ablations_of_the_losses_keep_what_they_are_named_after():
    assert {spec.name for spec in ABLATIONS["multi_similarity_only"].losses} == {"multi_similarity"}
    assert {spec.name for spec in ABLATIONS["proxy_anchor_only"].losses} == {"proxy_anchor"}
    assert {spec.name for spec in ABLATIONS["normalized_softmax_only"].losses} == {"normalized_softmax"}
    for name in ("multi_similarity_only", "proxy_anchor_only", "normalized_softmax_only"):
        assert [(spec.on, spec.weight) for spec in ABLATIONS[name].losses] == [
            ("merged", 1.0),
            ("global", 0.5),
            ("parts", 0.5),
            ("local", 0.5),
        ]
    assert {spec.on for spec in ABLATIONS["loss_on_merged_only"].losses} == {"merged"}
    assert {spec.on for spec in ABLATIONS["loss_on_heads_only"].losses} == {"global", "parts", "local"}
    assert ABLATIONS["proxy_anchor_instead"].losses[:2] == hybrid("merged", proxy=PRINTED_PROXY)
    assert ABLATIONS["proxy_weight_third"].losses[1] == LossSpec("normalized_softmax", "merged", 0.1)


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("global_only", ["global"]),
        ("parts_only", ["parts"]),
        ("local_only", ["local"]),
        ("global_and_parts", ["global", "parts"]),
        ("global_and_local", ["global", "local"]),
        ("parts_and_local", ["parts", "local"]),
    ],
)
def test_an_ablation_of_the_heads_has_the_heads_that_it_names_and_as_many_dimensions(name, heads):
    method = ABLATIONS[name]
    assert list(method.architecture.heads) == sorted(heads)
    assert method.architecture.dimensions == MULTI_HEAD.architecture.dimensions
    assert set(method.tuned_heads) <= set(heads)
    assert {term.on for term in method.losses} == ({"merged"} if len(heads) == 1 else {"merged", *heads})


def test_the_heads_of_multi_head_read_what_their_names_say():
    heads = MULTI_HEAD.architecture.heads
    assert {name: (head.tap, head.pooling, head.dimensions) for name, head in heads.items()} == {
        "global": ("deep", "average", 256),
        "parts": ("deep", "second_moment", 192),
        "local": ("shallow", "second_moment", 64),
    }
    assert MULTI_HEAD.tuned_heads == ("parts", "local")
    assert MULTI_HEAD.architecture.weights == {"global": 1.0, "parts": 0.5, "local": 0.5}
    assert MULTI_HEAD.inits == ("whitened",)


def test_without_attention_the_heads_are_the_same_but_for_their_blocks():
    plain = MULTI_HEAD.architecture.without_attention()
    assert MULTI_HEAD.architecture.attentive
    assert not plain.attentive
    assert plain == ABLATIONS["attention_none"].architecture


def test_an_unknown_method_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidInput, match="no method mult_head") as caught:
        get_method("mult_head")
    assert caught.value.hint == "Did you mean multi_head?"


def test_an_unknown_loss_term_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidInput, match="no loss term proxy_ancor") as caught:
        LossSpec("proxy_ancor", "merged")
    assert caught.value.hint == "Did you mean proxy_anchor?"


@pytest.mark.parametrize("on", ["attended", "locl"])
def test_a_loss_term_on_what_the_method_does_not_have_is_refused(on):
    with pytest.raises(InvalidInput, match=f"triplet reads {on}"):
        Method(Architecture({"local": HeadSpec("deep", 4)}), (LossSpec("triplet", on),))


def test_a_tuned_head_that_is_not_there_is_refused():
    with pytest.raises(InvalidInput, match="no head locl"):
        Method(Architecture({"local": HeadSpec("deep", 4)}), (), tuned_heads=("local", "locl"))


def test_the_names_are_known_without_torch():
    program = "import sys, model.config, model.networks.attention, model.losses.terms; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
