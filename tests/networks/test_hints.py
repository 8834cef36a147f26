"""Names of other libraries, and names written wrongly: the message says what was meant."""

from __future__ import annotations

import pytest

import erfmath as em


@pytest.mark.parametrize("name, meant", [
    ("Conv2d", "Conv"), ("ConvTranspose3d", "ConvTranspose"), ("ReLU", "Activation('relu')"), ("Sequential", "serial"),
    ("MaxPooling2D", "MaxPool"), ("receptive_feild", "receptive_field"), ("predcit", "predict"),
    ("groupnorm", "GroupNorm"),
    ("Linear", "Conv(1)")])
def test_names_of_the_package(name: str, meant: str) -> None:
    with pytest.raises(AttributeError) as told:
        getattr(em, name)
    assert f"has no attribute {name!r}; did you mean {meant}" in str(told.value)


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
