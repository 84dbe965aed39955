from model.nested import flattened


def test_nested_values_are_named_by_their_path():
    values = {"train": {"epochs": 3, "trunk": {"rate": 0.1}}, "why": None, "empty": {}}
    assert list(flattened(values)) == [("train.epochs", 3), ("train.trunk.rate", 0.1), ("why", None)]
