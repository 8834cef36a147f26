"""The command line: ``erfmath COMMAND ...`` or ``python -m erfmath COMMAND ...``.

Tables go to stdout, progress and errors to stderr.  Whatever is wrong with the input is said in one
line, with exit status 2, before anything is written.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, get_args

from .. import __version__
from ..base.errors import quoted
from ..base.files import check_target, write_atomically
from ..bench import BENCHMARKS
from ..plotting import Display
from . import (analyse, commands, completion, design, figures, growth, networks, page, report, sampling, signals, train)
from .sampling import INTERRUPTED

__all__ = ["build_parser", "main"]


#: Characters of an error line; values that are quoted may have any length.
LONGEST = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    with _terminated_as_interrupted():
        return _main(arguments)


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM, as cluster schedulers send it, ends a command as Ctrl-C does: with what is finished."""
    if threading.current_thread() is not threading.main_thread():  # Python handles signals in that one
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _main(arguments: Sequence[str] | None) -> int:
    options, status = argparse.Namespace(), 0
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show costs no results
            stream.reconfigure(errors="backslashreplace")
    try:
        options = build_parser().parse_args(arguments)
        if options.output:
            check_target(options.output)
        written = []
        for text, status in report.shown(options.run(options), options):
            if options.output:
                written.append(text)
            else:
                print(text, flush=True)
        if options.output:
            whole = "".join(f"{text}\n" for text in written).encode("utf-8", "backslashreplace")
            write_atomically(options.output, lambda file: file.write(whole))
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, MemoryError, OverflowError, NotImplementedError, ImportError) as error:
        print(f"erfmath: error: {_as_options(_one_line(error), options)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return _shortened(str(error)) or type(error).__name__


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST // 2]} ... {text[-LONGEST // 2:]}"


def _as_options(message: str, options: argparse.Namespace) -> str:
    """A message of the library about an argument, in the words of the command line."""
    name, equals, rest = message.partition("=")
    words = {"rng": "seed", "name": "network"}
    if getattr(options, "source", None) is None:
        words["source"] = "network"
    known = words.get(name, name)
    if not equals or not hasattr(options, known):
        return message
    return f"NET={rest}" if known == "network" else f"--{known.replace('_', '-')}={rest}"


# ---------------------------------------------------------------------------------------------
# what can be asked
# ---------------------------------------------------------------------------------------------

class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage; options are written in full."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        if "expected one argument" in message:  # argparse took -1,2 for another option
            message += "; one that begins with - is written after =, as --unit=-1,2"
        self.exit(2, f"erfmath: error: {_shortened(message)} (see {self.prog} --help)\n")

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if action.option_strings and action.nargs is None and arg_strings == ["--"]:  # which argparse drops
            raise argparse.ArgumentError(action, "expected one argument")
        return super()._get_values(action, arg_strings)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = _Parser(prog="erfmath", description="Effective receptive fields of convolutional "
                                                 "networks, computed analytically.")
    parser.add_argument("--version", action="version", version=f"erfmath {__version__}")
    table = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, work: Callable[[argparse.Namespace], Any], purpose: str,
                examples: str) -> argparse.ArgumentParser:
        lines = "".join(f"\n  {line}" for line in examples.splitlines())
        added = table.add_parser(name, help=purpose, description=f"{name}: {purpose}.",
                                 epilog=f"examples:{lines}",
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
        added.set_defaults(run=work, command=name)
        output = added.add_argument_group("output")
        output.add_argument("--json", action="store_true", help="print JSON: the version, the command and all numbers")
        output.add_argument("--table", choices=("text", "csv", "latex"), default="text",
                            help="print tables for people, as CSV, or for LaTeX with booktabs (default: text)")
        output.add_argument("-q", "--quiet", action="store_true", help="no progress bars")
        if name == "figures":
            added.set_defaults(output=None)
        else:
            output.add_argument("-o", "--output", metavar="FILE", help="write to FILE what would be printed")
        return added

    sub = command("receptive-field", commands.receptive_field,
                  "TRF of every layer",
                  "erfmath receptive-field resnet50 --image 224\n"
                  "erfmath receptive-field net.json --unit 3,4 --json")
    _add_network_options(sub, source=True)

    sub = command("predict", commands.predict,
                  "effective receptive field of a unit, from theory",
                  "erfmath predict vgg16 --image 224 --plot vgg16.png\n"
                  "erfmath predict net.json --image 224,320 --unit 0,0 --json\n"
                  "erfmath predict resnet50 --node layer2 --save resnet50.npz\n"
                  "erfmath predict resnet50 --source layer1 --node layer2 --image 224\n"
                  "erfmath predict net.json --weights net.npz --gates layers --image 64")
    _add_network_options(sub, weights=True, source=True)
    sub.add_argument("--statistic", choices=("power", "mean"),
                     help="E[g^2] or E[g] (default: mean if no weight is random, else power)")
    sub.add_argument("--method", choices=("exact", "normal", "finite_width"), default="exact",
                     help="the exact distribution; for chains on the plane its Gaussian; or for chains finite-width "
                          "corrections of smooth activations (default: exact)")
    sub.add_argument("--width", type=int, default=16, metavar="N",
                     help="channels of layers that leave theirs open (default: 16)")
    sub.add_argument("--channels-in", type=int, metavar="N", help="channels of the input (default: 3)")
    sub.add_argument("--gates", choices=("taps", "independent", "channels", "layers", "streams"), default="taps",
                     help="use of given weights: by their mean square per tap, or with gates (derivatives of "
                          "activations) that are independent, or come from one input per channel, layer or "
                          "residual stream (default: taps)")
    sub.add_argument("--images", metavar="FILE",
                     help="inputs for the gates (.npz; default: noise with the spectrum of photographs)")
    sub.add_argument("--draws", type=int, default=200, metavar="N", help="draws of gates (default: 200)")
    sub.add_argument("--seed", type=int, metavar="N", help="seed of these draws")
    sub.add_argument("--display", choices=get_args(Display), default="amplitude",
                     help="what the picture shows (default: amplitude)")
    sub.add_argument("--plot", metavar="FILE", help="draw the picture (.png, .pdf, .svg, ...)")
    sub.add_argument("--save", metavar="FILE", help="save the result (.npz)")

    sub = command("measure", sampling.measure,
                  "effective receptive field of a unit by Monte Carlo: random networks, run and back-propagated",
                  "erfmath measure resnet18 --image 96 --draws 100 --seed 0\n"
                  "erfmath measure net.json --until 0.02 --workers 4 --checkpoint run.npz")
    _add_network_options(sub, weights=True, source=True)
    sampling.add_measure_options(sub)
    sub.add_argument("--statistic", choices=("power", "mean", "amplitude", "magnitude", "relu"),
                     help="what is averaged (default: mean if no weight is random, else power)")
    sub.add_argument("--save", metavar="FILE", help="save the result (.npz)")

    sub = command("compare", sampling.compare,
                  "theory against measurement; exit status 0 if they agree, 1 if not",
                  "erfmath compare vgg16 --image 224 --draws 100 --seed 0\n"
                  "erfmath compare net.json --tolerance 0.02 --plot comparison.png")
    _add_network_options(sub, weights=True, source=True)
    sampling.add_measure_options(sub)
    sampling.add_compare_options(sub)
    sub.add_argument("--statistic", choices=("power", "mean"),
                     help="E[g^2] or E[g] (default: mean if no weight is random, else power)")

    sub = command("analyse", analyse.analyse,
                  "sizes and scores of gradients computed by any framework",
                  "erfmath analyse grads.npy --trf 427 --center 96,96 --plot grads.png\n"
                  "erfmath analyse grads.npy --statistic relu --normalise sample --background --json")
    analyse.add_analyse_options(sub, _integers)

    sub = command("design", design.design,
                  "what would widen the ERF of a network, or what each layer contributes",
                  "erfmath design resnet50 --image 224 --plot remedies.png\n"
                  "erfmath design vgg16 --layers")
    _add_network_options(sub, optional=True, image="the infinite plane; with --target 224, for the costs")
    design.add_design_options(sub)

    sub = command("new", design.new, "networks whose ERF reaches a size, within limits on depth and cost",
                  "erfmath new 40 --max-depth 20 --max-multiply-adds 2e10\n"
                  "erfmath new 96 --kind mass --json")
    design.add_new_options(sub)

    sub = command("size-map", design.size_map, "size and centre of the ERF of every unit of a map",
                  "erfmath size-map unet --image 256 --plot sizes.png")
    _add_network_options(sub, unit=False, image=None)
    sub.add_argument("--kind", default="std", metavar="KIND",
                     help="std, in one sweep, or another size, unit by unit (default: std)")
    sub.add_argument("--plot", metavar="FILE", help="draw the map (.png, .pdf, .svg, ...)")

    sub = command("tiles", design.tiles, "overlap that tiles of a large image need",
                  "erfmath tiles unet --error 0.01\nerfmath tiles net.json --image 1024 --json")
    _add_network_options(sub, unit=False, image="as large as the receptive field asks for")
    design.add_tiles_options(sub)

    sub = command("report", page.page, "everything about one network on one page of HTML",
                  "erfmath report resnet18 --image 224 -o report.html\n"
                  "erfmath report net.json -o report.html --title 'our network'")
    _add_network_options(sub, weights=True)
    page.add_page_options(sub)

    sub = command("signals", signals.signals,
                  "moments of the values and power of the gradients at every node, at initialisation",
                  "erfmath signals resnet50 --image 224 --plot signals.png\nerfmath signals net.json --json")
    _add_network_options(sub, weights=True)
    signals.add_signals_options(sub)

    sub = command("convert", networks.convert, "convert a PyTorch, ONNX or Keras network to JSON, its arrays to .npz",
                  "erfmath convert model.onnx net.json --weights weights.npz\n"
                  "erfmath convert torchvision.models:resnet50 net.json --image 224")
    sub.add_argument("network", metavar="NET", help=networks.NAMES)
    sub.add_argument("out", metavar="FILE", help="where the network goes (.json)")
    sub.add_argument("--weights", dest="weights_out", metavar="FILE", help="where its arrays go (.npz)")
    sub.add_argument("--image", type=_integers, metavar="N", help="size in pixels, where the source leaves it open")
    networks.add_source_options(sub, weights=False)

    sub = command("growth", growth.growth, "how sizes grow with depth, kernel, dilation or the place of a stride",
                  "erfmath growth --kernel 3 --depths 5:200 --plot growth.png\n"
                  "erfmath growth --depths 4:40 --every 4\n"
                  "erfmath growth --kernels 3:15:2 --depth 10 --kinds std,mass")
    growth.add_growth_options(sub)

    sub = command("figures", figures.figures, "the paper's figures: pictures, data and numbers",
                  "erfmath figures --quick --out figures\n"
                  "erfmath figures fig1 fig2 --seed 1 --format pdf,svg --table latex -o figures")
    figures.add_figures_options(sub)

    sub = command("bench", commands.bench, "benchmarks",
                  "erfmath bench\nerfmath bench import predict --quick\n"
                  "erfmath bench walk --plot growth.png\n"
                  "erfmath bench readers --models 'timm:resnet*' --results readers.jsonl")
    sub.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)} (default: all)")
    sub.add_argument("--quick", action="store_true", help="once each, to see that they run")
    sub.add_argument("--plot", metavar="FILE", help="walk only: draw how the cost grows, in place of the table")
    sub.add_argument("--models", nargs="+", metavar="PATTERN",
                     help="readers only: which models, as 'timm:resnet*' (default: all of its list)")
    sub.add_argument("--results", metavar="FILE",
                     help="accuracy, fields, readers, survey: file of one line a network, by which a later run goes on")
    sub.add_argument("--onnx", action="store_true", help="readers only: also read the ONNX file of each model")
    sub.add_argument("--seconds", type=float, metavar="S", help="readers only: limit of each model (default: 600)")

    sub = command("train", train.train, "train a small network in NumPy, with validation",
                  "erfmath train net.json --data box --steps 400 --save weights.npz\n"
                  "erfmath train net.json --data cifar10.npz --optimiser sgd --batch 128 --steps 5000 --patience 5\n"
                  "erfmath predict net.json --weights weights.npz --image 33")
    train.add_train_options(sub)

    sub = command("completion", completion.completion, "a script that completes commands and options in bash or zsh",
                  'eval "$(erfmath completion bash)"')
    completion.add_completion_options(sub, build_parser)

    command("zoo", commands.zoo_names, "list the named networks", "erfmath zoo")
    return parser


def _add_network_options(parser: argparse.ArgumentParser, *, optional: bool = False, unit: bool = True,
                         image: str | None = "the infinite plane", weights: bool = False, source: bool = False
                         ) -> None:
    """The network, and where to look at it; `image` says what is taken if none is given, if that may be."""
    parser.add_argument("network", metavar="NET", nargs="?" if optional else None,
                        help=networks.NAMES)
    parser.add_argument("--image", type=_integers, metavar="N",
                        help="size in pixels, 224 or 224,320 (default: what the file says, or else "
                             f"{image or 'it must be given'})")
    if unit:
        parser.add_argument("--unit", type=_integers, metavar="Y,X",
                            help="the unit (default: the middle of the map, 0 on the plane); "
                                 "write --unit=-1,2 if the first is negative")
    else:
        parser.set_defaults(unit=None)  # all of them
    parser.add_argument("--node", metavar="NAME",
                        help=f"node whose unit{' it is' if unit else 's they are'} (default: the output)")
    if source:
        parser.add_argument("--source", metavar="NAME",
                            help="node on whose map the ERF is computed, instead of the input")
    else:
        parser.set_defaults(source=None)
    parser.add_argument("--ndim", type=int, choices=(1, 2, 3), metavar="N",
                        help="1, 2 or 3 dimensions, where nothing else fixes them (default: 2)")
    networks.add_source_options(parser, weights=weights)


def _integers(text: str) -> int | tuple[int, ...]:
    """``224`` or ``224,320``."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{quoted(text)}: must be integers, as 224 or 224,320") from None
    return numbers[0] if len(numbers) == 1 else numbers
