"""The live reader of PyTorch, for who has it: `python -m pytest -m torch`.

A network with the arrays of its module is run on one image, and the gradient of one channel of one unit is that of the
module itself, by automatic differentiation: everything that was read is held by that, to rounding.
"""

from __future__ import annotations

from typing import Any

import pytest
from helpers import FFT, assert_close

import erfmath as em

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]
nn, functional = torch.nn, torch.nn.functional


class Lambda(nn.Module):
    def __init__(self, function: Any, *parts: Any) -> None:
        super().__init__()
        self.parts, self.function = nn.ModuleList(parts), function

    def forward(self, x: Any) -> Any:
        return self.function(x, *self.parts)


def conv(c_in: int, c_out: int, *more: Any, **options: Any) -> Any:
    return nn.Conv2d(c_in, c_out, 3, *more, **{"padding": 1, **options})


class ResponseNorm(nn.Module):
    """Of ConvNeXt V2, with the channels first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma, self.beta = (nn.Parameter(torch.randn(1, channels, 1, 1)) for _ in range(2))

    def forward(self, x: Any) -> Any:
        norm = x.norm(p=2, dim=(2, 3), keepdim=True)
        return x + torch.addcmul(self.beta, self.gamma, x * (norm / (norm.mean(dim=1, keepdim=True) + 1e-6)))


def uneven(x: Any) -> Any:
    """Blocks of 2 x 3 sites from channels."""
    n, c, h, w = x.shape
    return x.reshape(n, c // 6, 2, 3, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c // 6, 2 * h, 3 * w)


def gathered(x: Any) -> Any:
    """Channels from blocks of 1 x 2 sites."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h, w // 2, 2).permute(0, 1, 4, 2, 3).reshape(n, c * 2, h, w // 2)


def shuffled(norm: Any) -> Any:
    """A norm whose parameters are no longer ones and zeros."""
    for parameter in norm.parameters():
        nn.init.normal_(parameter, 0.5)
    if getattr(norm, "running_mean", None) is not None:
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return norm


def last(norm: Any) -> Any:
    return Lambda(lambda x, f: f(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), norm)


SMALL: dict[str, Any] = {
    "batch norm": lambda: (conv(3, 8), shuffled(nn.BatchNorm2d(8)), nn.ReLU(), conv(8, 4)),
    "group norm": lambda: (conv(3, 8), shuffled(nn.GroupNorm(2, 8)), nn.SiLU(), conv(8, 4)),
    "instance norm": lambda: (conv(3, 8), shuffled(nn.InstanceNorm2d(8, affine=True)), nn.GELU(), conv(8, 4)),
    "layer norm": lambda: (conv(3, 8), last(shuffled(nn.LayerNorm(8))), nn.Hardswish(), conv(8, 4)),
    "rms norm": lambda: (conv(3, 8), last(shuffled(nn.RMSNorm(8, eps=1e-5))), nn.Mish(), conv(8, 4)),
    "response norm": lambda: (conv(3, 8), ResponseNorm(8), nn.ELU(), conv(8, 4)),
    "prelu": lambda: (conv(3, 8), shuffled(nn.PReLU(8)), conv(8, 4)),
    "uneven shuffle": lambda: (conv(3, 12), Lambda(uneven), conv(2, 4)),
    "uneven unshuffle": lambda: (conv(3, 5, groups=1), Lambda(gathered), conv(10, 4, groups=2)),
    "pixel shuffle": lambda: (conv(3, 12), nn.PixelShuffle(2), conv(3, 4), nn.PixelUnshuffle(2), conv(16, 4)),
    "channel shuffle": lambda: (conv(3, 12), nn.ChannelShuffle(3), conv(12, 12, groups=3)),
    "gate": lambda: (conv(3, 8), Lambda(lambda x, f: x * torch.sigmoid(f(x.mean((2, 3), keepdim=True))),
                                        nn.Conv2d(8, 8, 1)), conv(8, 4)),
    "gated halves": lambda: (conv(3, 8), nn.GLU(1), conv(4, 4)),
    "gate of one channel": lambda: (conv(3, 8), Lambda(lambda x, f: x * torch.sigmoid(f(x)), nn.Conv2d(8, 1, 3, 1, 1))),
    "site by channel": lambda: (conv(3, 8), Lambda(lambda x, f: x + x.mean((2, 3), keepdim=True) * f(x),
                                                   nn.Conv2d(8, 1, 1))),
    "pools": lambda: (conv(3, 4), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(3, 2, 1), conv(4, 4)),
    "transposed": lambda: (conv(3, 4), nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1), nn.ReLU(), conv(6, 4)),
    "resized": lambda: (conv(3, 4), nn.Upsample(scale_factor=2, mode="bilinear"), conv(4, 4), nn.Upsample((20, 17))),
    "padded": lambda: (nn.ReflectionPad2d(2), conv(3, 4, padding=0, padding_mode="zeros"), nn.ZeroPad2d((1, 0, 2, -1)),
                       conv(4, 4, padding_mode="circular")),
    "maximum of halves": lambda: (conv(3, 8), Lambda(lambda x: torch.maximum(*x.chunk(2, 1))), conv(4, 8), Lambda(
        lambda x, f: torch.minimum(x, f(x)), conv(8, 8)), conv(8, 4)),
    "spelled out": lambda: (conv(3, 4), Lambda(lambda x: x * functional.relu6(x + 3) / 6), conv(4, 4)),
    "own function": lambda: (conv(3, 4), Lambda(lambda x: functional.relu(x)**2 * 0.8 - 0.4), conv(4, 4)),
    "scaled functions": lambda: (conv(3, 4), nn.Hardtanh(0, 2), conv(4, 4),
                                 Lambda(lambda x: x * torch.sigmoid(1.702 * x)), conv(4, 4), nn.CELU(0.25), conv(4, 4),
                                 Lambda(lambda x: torch.clamp(0.2 * x + 0.5, 0, 1))),
    "functions of their own": lambda: (
        conv(3, 6), Lambda(lambda x: x * torch.tanh(torch.exp(x))), conv(6, 6), Lambda(lambda x: x - torch.tanh(x)),
        conv(6, 6), Lambda(lambda x: torch.where(x > 0.1, x, torch.exp(x) * x)), conv(6, 6),
        Lambda(lambda x: functional.softshrink(x, 0.2) + 0.1 * torch.sin(3 * x)), conv(6, 6),
        Lambda(lambda x: x / torch.sqrt(1 + x * x) + torch.abs(x) * (x < 0.3).float())),
    "several in one": lambda: (
        conv(3, 6), Lambda(lambda x: torch.rsub(x, torch.tanh(x), alpha=0.5)), conv(6, 6),
        Lambda(lambda x: torch.lerp(torch.addcmul(x, x, torch.sigmoid(x), value=0.3), functional.rrelu(x), 0.2)),
        conv(6, 6), Lambda(lambda x: torch.add(torch.exp2(x), torch.erfc(x), alpha=-2.0)), conv(6, 6),
        Lambda(lambda x: torch.logaddexp(x, torch.zeros_like(x)) + torch.hypot(x, torch.ones_like(x))), conv(6, 6),
        Lambda(lambda x: torch.clamp(x, min=torch.tensor(-0.5), max=torch.tensor(0.7)) + torch.special.ndtr(x))),
    "gate of its own": lambda: (conv(3, 6), Lambda(lambda x, f: torch.log1p(torch.exp(x)) * torch.atan(x) * f(x),
                                                   conv(6, 6)), conv(6, 4)),
    "constants": lambda: (Lambda(lambda x: (x - 0.4) / 0.2), conv(3, 4), nn.Tanh(), conv(4, 4)),
}


#: Where torch or ONNX hold a number of a double-precision function in single precision, as the 1/6 of hardswish.
SINGLE = 1e-5


def same(found: Any, expected: Any, single: bool) -> None:
    """Maps, in parts of the largest value."""
    most = expected.max()
    if single:
        assert abs(found - expected).max() < SINGLE * most
    else:
        assert_close(found / most, expected / most, FFT)


def gradient(module: Any, x: Any, unit: tuple[int, ...], channel: int) -> Any:
    x = x.clone().requires_grad_()
    out = module(x)
    value, = torch.autograd.grad(out[(0, channel, *unit)], x)
    return (value[0]**2).sum(0).numpy()


def compare(module: Any, shape: tuple[int, ...]) -> None:
    module = module.double().eval()
    x = torch.randn(shape, dtype=torch.float64)
    model = em.from_torch(module, shape, init="weights")
    sites = model.net.shapes(model.image)[model.outputs["out"]]
    unit = tuple(n // 2 for n in sites)
    found = model.measure(node="out", unit=unit, channel=1, draws=1, images=x.numpy(), dtype="float64")
    same(found.map, gradient(module, x, unit, 1), False)


@pytest.mark.parametrize("name", SMALL)
def test_gradients_of_small_modules(name: str) -> None:
    torch.manual_seed(len(name))
    compare(nn.Sequential(*SMALL[name]()), (1, 3, 12, 12))


def trained(module: Any) -> Any:
    """A module whose norms are no longer as at the start."""
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm2d, nn.GroupNorm)):
            shuffled(part)
    return module


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1", "googlenet",
                                  "efficientnet_b0", "densenet121", "regnet_y_400mf"])
def test_gradients_of_torchvision(name: str) -> None:
    models = pytest.importorskip("torchvision").models
    torch.manual_seed(1)
    options = {"init_weights": False} if name == "googlenet" else {}
    module = trained(models.get_model(name, weights=None, **options)).double().eval()
    x = torch.randn((1, 3, 64, 64), dtype=torch.float64)
    model = em.from_torch(module, x, init="weights")
    found = model.measure(node="out", unit=(0, 0), channel=1, draws=1, images=x.numpy(), dtype="float64")
    same(found.map, gradient(module, x, (), 1), "mobilenet_v3" in name)


@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("name", ["batch norm", "gate", "gated halves", "pools", "resized", "spelled out", "transposed",
                                  "pixel shuffle", "scaled functions", "layer norm"])
def test_gradients_of_onnx(name: str, dynamo: bool, tmp_path: Any) -> None:
    pytest.importorskip("onnxscript")
    torch.manual_seed(2)
    module, x = nn.Sequential(*SMALL[name]()).double().eval(), torch.randn((1, 3, 12, 12), dtype=torch.float64)
    path = tmp_path / "model.onnx"
    torch.onnx.export(module, (x,), str(path), dynamo=dynamo, verbose=False)
    model = em.from_onnx(path)
    sites = model.net.shapes(model.image)[model.net.output]
    unit = tuple(n // 2 for n in sites)
    label, = model.outputs
    found = model.measure(node=label, unit=unit, channel=1, draws=1, images=x.numpy(), dtype="float64")
    same(found.map, gradient(module, x, unit, 1), name == "scaled functions")


@pytest.mark.parametrize("module, example, message", [
    (lambda: Lambda(lambda x, y: x), (1, 3, 8, 8), "cannot trace Lambda: IndexError|cannot trace Lambda: TypeError"),
    (lambda: nn.Bilinear(3, 3, 2), (torch.zeros(1, 3), torch.zeros(1, 3)),
     r"takes 2 tensors: input1 .1x3., input2 .1x3.; choose the image by input="),
    (lambda: Lambda(lambda x, f: f(x if x.sum() > 0 else -x), conv(3, 4)), (1, 3, 8, 8), "cannot trace Lambda: Guard"),
    (lambda: Lambda(lambda x: torch.ones(3)), (1, 3, 8, 8), "does not depend on its input"),
    (lambda: conv(3, 4), None, "example=None"), (lambda: conv(3, 4), (1, 4, 8, 8), "to have 3 channels"),
    (lambda: conv(3, 4), (1, 3, -8, 8), "example=-8"),
    (lambda: conv(3, 4), (1, 3, 10**6, 10**6), "would need 12000000000000"),
    (lambda: conv(3, 4), (3, 8, 8), "no layer leads to its output .*without a batch"),
])
def test_what_cannot_be_read(module: Any, example: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as found:
        em.from_torch(module(), example)
    assert "\n" not in str(found.value)


def test_outputs_have_the_names_of_the_structure() -> None:
    module = Lambda(lambda x, f, g: {"a": f(x), "b": [g(x), f(x)]}, conv(3, 4), conv(3, 2))
    model = em.from_torch(module, (1, 3, 8, 8))
    assert list(model.outputs) == ["a", "b.0", "b.1"] and model.predict(node="b.0").node == model.outputs["b.0"]


def test_from_the_command_line(ask: Any) -> None:
    answer = ask("receptive-field", "torch.nn:Identity", "--image", "8")
    assert answer.status == 2 and "no layer leads to its output" in answer.err
    with open("mine.py", "w") as file:
        file.write("from torch import nn\n\ndef net():\n    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh())")
    assert "of 1 sees pixels" in ask("receptive-field", "mine:net", "--image", "8", "--channels-in", "1").out
    assert "has no 'nets'; it has 'net'" in ask("predict", "mine:nets", "--image", "8").err


def test_modules_in_training() -> None:
    ops = pytest.importorskip("torchvision").ops
    module = nn.Sequential(conv(3, 4), shuffled(nn.BatchNorm2d(4)), nn.Dropout(0.25),
                           Lambda(lambda x, f, drop: x + drop(f(x)), conv(4, 4), ops.StochasticDepth(0.5, "row")))
    training, evaluation = (em.from_torch(module.train(mode), (1, 3, 8, 8), init="weights") for mode in (True, False))
    assert [node.layer.kind for node in training.net] == ["conv", "batch_norm", "conv", "dropout", "conv", "add"]
    assert [node.layer.kind for node in evaluation.net] == ["conv", "batch_norm", "conv", "add"]
    assert "1" in evaluation.weights and "1" not in training.weights  # statistics of the data; the scale comes after
    assert "1.affine" in training.weights and "stochastic depth" in training.notes[0] and not evaluation.notes


@pytest.mark.parametrize("name", ["VGG16", "MobileNet", "ResNet50V2"])
def test_gradients_of_keras(name: str, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    if keras.config.backend() != "torch":
        pytest.skip("Keras has another backend")
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        keras.utils.set_random_seed(1)
        module = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), include_top=False)
        module.save(tmp_path / "model.keras")
        torch.manual_seed(1)
        x = torch.randn((1, 3, 64, 64), dtype=torch.float64)
        channel = int(module(x.movedim(1, -1))[0, 1, 1].argmax())  # one that is not dead
        expected = gradient(lambda x: module(x.movedim(1, -1)).movedim(-1, 1), x, (1, 1), channel)
    finally:
        keras.config.set_floatx(before)
    assert expected.any()
    found = em.from_keras(tmp_path / "model.keras").measure(node="out", unit=(1, 1), channel=channel, draws=1,
                                                            images=x.numpy(), dtype="float64")
    same(found.map, expected, True)


def test_one_of_several_tensors_is_chosen() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

        def forward(self, image: Any, factor: Any) -> Any:
            return self.last(self.first(image) * factor)

    module, image = Gated().eval(), torch.zeros(1, 3, 12, 12)
    half = em.from_torch(module, (image, torch.full((1,), 0.5)), input="image", init="weights").predict()
    whole = em.from_torch(module, (image, torch.ones(1)), input="image", init="weights").predict()
    assert_close(half.map, whole.map / 4, FFT)
    with pytest.raises(ValueError, match=r"takes 2 tensors: image \(1x3x12x12\), factor \(1\); choose the image"):
        em.from_torch(module, (image, torch.ones(1)))


class Detector(nn.Module):
    """Three levels of boxes and classes, flattened, joined and decoded, as in YOLOv8."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList([conv(3, 8, stride=2), conv(8, 8, stride=2), conv(8, 8, stride=2)])
        self.heads = nn.ModuleList(nn.Conv2d(8, 4 * 4 + 2, 1) for _ in range(3))
        self.register_buffer("bins", torch.arange(4.0).reshape(1, 4, 1, 1))

    def forward(self, x: Any) -> Any:
        found = []
        for level, head in zip(self.levels, self.heads):
            x = functional.silu(level(x))
            found.append(head(x).flatten(2))
        boxes, classes = torch.cat(found, 2).split((16, 2), 1)
        bins = boxes.view(1, 4, 4, -1).transpose(2, 1).softmax(1)
        boxes = functional.conv2d(bins, self.bins).view(1, 4, -1)
        near, away = boxes.chunk(2, 1)
        return torch.cat([(near + away) / 2, away - near, classes.sigmoid()], 1)


def test_a_detector_is_read_by_level() -> None:
    m = em.from_torch(Detector().eval(), (1, 3, 32, 32))
    assert dict(m.outputs) == {"out.0": "heads.0", "out.1": "heads.1", "out.2": "heads.2"}
    assert m.net.output == "heads.2" and not m.stand_ins and any("joins maps without" in note for note in m.notes)
    assert m.receptive_field(node="out.0").size == (3, 3)
