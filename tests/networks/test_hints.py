"""Names of other libraries, and names written wrongly: the message says what was meant."""

from __future__ import annotations

import pytest

import erfmath as em


@pytest.mark.parametrize("name, meant", [
    ("Conv2d", "Conv"), ("ConvTranspose3d", "ConvTranspose"), ("ReLU", "Activation('relu')"), ("Sequential", "serial"),
    ("MaxPooling2D", "MaxPool"), ("receptive_feild", "receptive_field"), ("predcit", "predict"),
    ("groupnorm", "GroupNorm"),
    ("Linear", "Conv(1)"), ("ReflectionPad2d", "Pad(..., 'reflect')"), ("ChannelShuffle", "Shuffle?"),
    ("SqueezeExcitation", "zoo.blocks.squeeze_excite"), ("DeformConv2d", "Conv, which"),
    ("nn", "the layer without it, as in erfmath.Conv"), ("Flatten", "a Conv with a kernel of the whole map")])
def test_names_of_the_package(name: str, meant: str) -> None:
    with pytest.raises(AttributeError) as told:
        getattr(em, name)
    assert f"has no attribute {name!r}; did you mean {meant}" in str(told.value)


def test_attention_has_no_counterpart() -> None:
    with pytest.raises(AttributeError, match="attention has no rule in the theory; EffectiveReceptiveField.from_grad"):
        em.MultiheadAttention  # noqa: B018


@pytest.mark.parametrize("op, meant", [
    ("Conv2d", "'conv'"), ("relu", "'activation' with function='relu'"), ("maxpool", "'max_pool'"),
    ("MaxPooling2D", "'max_pool'"), ("BatchNormalization", "'batch_norm'")])
def test_kinds_of_layers_in_json(op: str, meant: str) -> None:
    node = {"name": "a", "op": op, "inputs": ["input"]}
    with pytest.raises(ValueError) as told:
        em.Network.from_dict({"format": "erfmath-network", "version": 1, "nodes": [node], "output": "a"})
    assert str(told.value).startswith("a: op=") and str(told.value).endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize("name", ["_private", "xyzzy"])
def test_names_that_mean_nothing(name: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute '{name}'$"):
        getattr(em, name)
    assert not hasattr(em, name)


def test_names_of_the_zoo() -> None:
    with pytest.raises(AttributeError, match="no network 'VGG16'; did you mean vgg16?"):
        em.zoo.VGG16  # noqa: B018
    with pytest.raises(AttributeError, match="no network 'xyzzy'$"):
        em.zoo.xyzzy  # noqa: B018
    with pytest.raises(ValueError, match="did you mean 'resnet50'?"):
        em.zoo.build("ResNet-50")
