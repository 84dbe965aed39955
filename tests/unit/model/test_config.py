import pytest

from model.config import RunConfig, ServeConfig, load_config, parse_config, served_name, setting_names
from model.errors import InvalidInput
from model.networks.attention import ATTENTION
from model.networks.methods import ABLATIONS, METHODS


def test_nothing_said_gives_the_defaults():
    assert load_config() == RunConfig()


@pytest.mark.parametrize(
    ("override", "key", "nearest"),
    [
        ("train.epoch=3", "train.epoch", "train.epochs"),
        ("trian.epochs=3", "trian", "train"),
        ("gate.min_map_at=0.5", "gate.min_map_at", "gate.min_map_at_r"),
        ("serve.worker=2", "serve.worker", "serve.workers"),
    ],
)
def test_an_unknown_setting_is_named_with_the_nearest_known_one(override, key, nearest):
    with pytest.raises(InvalidInput) as caught:
        load_config(None, [override])
    assert caught.value.headline == f"There is no setting {key}."
    assert caught.value.hint == f"Did you mean {nearest}?"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("train.epochs=many", "train.epochs"),
        ("train.epochs=2.5", "train.epochs"),
        ("train.epochs=-1", "train.epochs"),
        ("train.trunk_learning_rate=.nan", "train.trunk_learning_rate"),
        ("train.trunk_learning_rate=.inf", "train.trunk_learning_rate"),
        ("train.learning_rates=[1e-3, .nan]", "train.learning_rates.1"),
        ("train.learning_rates=[0]", "train.learning_rates.0"),
        ("train.learning_rates=0.1", "train.learning_rates"),
        ("train.folds=21", "train.folds"),
        ("model.image_size=[64]", "model.image_size"),
        ("data.validation_fraction=1", "data.validation_fraction"),
        ("serve.name=../x", "serve.name"),
        ("train=5", "train"),
    ],
)
def test_a_wrong_type_or_range_names_the_setting(override, key):
    with pytest.raises(InvalidInput, match=f"^Setting {key}: "):
        load_config(None, [override])


@pytest.mark.parametrize(
    "key", ["model.method", "model.local_attention", "model.weights", "train.trunk", "train.device", "data.split"]
)
@pytest.mark.parametrize("path", ["os.system", "model.networks.heads.MultiHead", "torch.nn.Linear"])
def test_a_dotted_class_path_is_refused_and_the_setting_named(key, path):
    with pytest.raises(InvalidInput, match=f"^Setting {key}: "):
        load_config(None, [f"{key}={path}"])


def test_a_yaml_tag_that_would_build_an_object_is_refused(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(f"train: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")
    with pytest.raises(InvalidInput, match=r"run\.yaml cannot be read as YAML"):
        load_config(file)
    with pytest.raises(InvalidInput, match="the value cannot be read"):
        load_config(None, [f"train.seed=!!python/object/apply:os.mkdir ['{tmp_path}/made']"])
    assert not (tmp_path / "made").exists()


def test_overrides_win_over_the_file_and_the_last_one_over_the_others(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("train:\n  epochs: 3\n  seed: 7\n")
    config = load_config(file, ["train.epochs=5", "train.epochs=6", "model.trunk=test_resnet"])
    assert (config.train.epochs, config.train.seed, config.model.trunk) == (6, 7, "test_resnet")


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("train.trunk_learning_rate=1e-3", 1e-3),
        ("train.trunk_learning_rate=0.001", 1e-3),
        ("train.learning_rates=[1e-3, 0.01]", (1e-3, 0.01)),
        ("train.learning_rates=[]", ()),
        ("serve.name=a-b", "a-b"),
        ("model.trunk=a=b", "a=b"),
    ],
)
def test_the_value_of_an_override_is_read_as_yaml_reads_it(override, value):
    section, key = override.partition("=")[0].split(".")
    assert getattr(getattr(load_config(None, [override]), section), key) == value


@pytest.mark.parametrize("override", ["train.epochs", "=3", ".epochs=3", "train.=3", ""])
def test_an_override_of_another_form_is_refused(override):
    with pytest.raises(InvalidInput, match="is not of the form"):
        load_config(None, [override])


def test_an_override_below_a_value_is_refused():
    with pytest.raises(InvalidInput, match=r"epochs is a value, not a section"):
        load_config(None, ["train.epochs=3", "train.epochs.x=3"])


@pytest.mark.parametrize(
    ("text", "said"), [("- a\n", "not a mapping of sections"), ("a: [\n", "cannot be read as YAML"), ("train\n", "not a mapping")]
)
def test_a_file_that_is_no_mapping_is_named(tmp_path, text, said):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=said) as caught:
        load_config(file)
    assert str(file) in caught.value.headline
    assert "\n" not in caught.value.headline


def test_a_missing_or_binary_file_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"none\.yaml"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match=r"binary\.yaml"):
        load_config(tmp_path / "binary.yaml")


def test_an_empty_file_says_nothing(tmp_path):
    (tmp_path / "run.yaml").write_text("# nothing\n")
    assert load_config(tmp_path / "run.yaml") == RunConfig()


def test_every_setting_says_what_it_means():
    schema = RunConfig.model_json_schema()["$defs"]
    silent = [
        f"{name}.{key}"
        for name, section in schema.items()
        for key, field in section["properties"].items()
        if not field.get("description")
    ]
    assert silent == []


def test_every_setting_has_a_name_that_an_override_reaches():
    names = setting_names()
    assert len(names) == len(set(names)) == sum(len(type(f.default).model_fields) for f in RunConfig.model_fields.values())
    tree = RunConfig().model_dump()
    assert {f"{section}.{key}" for section, keys in tree.items() for key in keys} == set(names)


def test_the_methods_and_the_attention_that_can_be_set_are_those_there_are():
    settings = RunConfig.model_json_schema()["$defs"]["ModelConfig"]["properties"]
    assert settings["method"]["enum"] == list(METHODS | ABLATIONS)
    assert settings["local_attention"]["enum"] == settings["global_attention"]["enum"] == ["method", *ATTENTION]


@pytest.mark.parametrize(
    ("override", "said", "nearest"),
    [
        ("model.method=mult_head", "Setting model.method: there is no method mult_head.", "multi_head"),
        ("model.local_attention=maks", "Setting model.local_attention: there is no attention block maks.", "mask"),
        ("train.start=random", "There is no setting train.start.", "train.init"),
        ("train.learning_rate=0.1", "There is no setting train.learning_rate.", "train.learning_rates"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(override, said, nearest):
    with pytest.raises(InvalidInput) as caught:
        load_config(None, [override])
    assert (caught.value.headline, caught.value.hint) == (said, f"Did you mean {nearest}?")


@pytest.mark.parametrize("key", ["model.global_attention", "model.local_attention"])
def test_attention_is_a_name_or_the_methods_own(key):
    section, setting = key.split(".")
    assert getattr(getattr(load_config(), section), setting) == "method"
    assert getattr(getattr(load_config(None, [f"{key}=residual_mask"]), section), setting) == "residual_mask"
    with pytest.raises(InvalidInput, match=f"^Setting {key}: "):
        load_config(None, [f"{key}=third_order"])


def test_no_setting_is_null_as_a_pipeline_cannot_say_so():
    assert not [name for name in setting_names() if getattr(getattr(RunConfig(), name.split(".")[0]), name.split(".")[1]) is None]


@pytest.mark.parametrize(
    ("overrides", "rates", "folds"),
    [
        ([], (3e-4, 1e-3), 3),
        (["train.trunk=finetune"], (3e-4,), 1),
        (["train.trunk=finetune", "train.folds=4", "train.learning_rates=[1e-3, 1e-2]"], (1e-3, 1e-2), 4),
        (["train.folds=1", "train.learning_rates=[1e-5]"], (1e-5,), 1),
    ],
    ids=["frozen", "finetune", "finetune with settings", "frozen with settings"],
)
def test_what_is_left_open_follows_from_the_trunk(overrides, rates, folds):
    train = load_config(None, overrides).train
    assert (train.compared_rates, train.fold_count) == (rates, folds)


@pytest.mark.parametrize(
    ("asked", "device", "decided"),
    [("auto", "cpu", "frozen"), ("auto", "cuda", "finetune"), ("frozen", "cuda", "frozen"), ("finetune", "cpu", "finetune")],
)
def test_a_trunk_is_trained_by_default_where_there_is_a_gpu(asked, device, decided):
    train = load_config(None, [f"train.trunk={asked}"]).train.decided(device)
    assert train.trunk == decided
    assert train.fold_count == (1 if decided == "finetune" else 3)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        parse_config({}).train.epochs = 3


@pytest.mark.parametrize(
    ("set_", "data_name", "name"), [("", "mugs", "mugs"), ("", "mugs.v2", "mugs-v2"), ("shop", "mugs", "shop")]
)
def test_a_model_is_served_under_the_name_of_its_data_unless_a_setting_says_otherwise(set_, data_name, name):
    assert served_name(ServeConfig(name=set_), data_name) == name


@pytest.mark.parametrize(
    "override",
    [
        "data.licence=\n\u202e: 1",
        "data.li\u202ecence=x",
        "data.licence.\u202e=\n",
        "\u202e\n",
        "model.method=\u202e\n",
        "data.leaks='\u202e'",
        'data.licence=["\u202e", "\\n"]',
        "train.seed.\u202ex=1",
    ],
    ids=ascii,
)
def test_a_refused_setting_is_repeated_on_one_line_with_escapes(override):
    with pytest.raises(InvalidInput) as error:
        load_config(None, [override])
    assert error.value.headline.isprintable()
    assert error.value.hint.isprintable()


def test_a_long_value_is_repeated_in_part():
    with pytest.raises(InvalidInput) as error:
        load_config(None, [f"data.licence={'x' * 10**5}"])
    assert len(error.value.headline) < 700
