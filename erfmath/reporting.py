"""One network on one page: what a unit can and does see, why, and what would change it, as HTML."""

from __future__ import annotations

import html
import io
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from . import __version__
from .analysis.border_layers import border_layers
from .analysis.costs import costs
from .analysis.gridding import checkerboard, holes
from .analysis.layer_shares import layer_shares
from .analysis.remedies import remedies
from .analysis.size_map import erf_size_map
from .base.checks import check_network, integer
from .base.errors import quoted
from .base.files import check_target, write_atomically
from .base.progress import shown
from .base.tables import html_table, percent
from .networks.network import Network
from .networks.trf import receptive_fields
from .results.field import EffectiveReceptiveField
from .theory.predict import predict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["report"]

#: Nodes over which growth is shown, layers in the table of contributions, and changes in that of remedies.
NODES, LAYERS, CHANGES = 14, 24, 10

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="erfmath $version">
<title>$title: effective receptive field</title>
<style>
:root { color-scheme: light dark; --ink: #1d2530; --paper: #fff; --soft: #5a6675; --line: #d5dbe3; --band: #f4f6f9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9f0; --paper: #14181d; --soft: #a2adbb; --line: #38414d; --band: #1c222a; } }
body { margin: 0 auto; padding: 1rem; max-width: 50rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
p, ul { margin: 0.5rem 0; }
.lead { font-size: 1.1rem; }
.note, figcaption, footer { color: var(--soft); font-size: 0.9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.5rem 0; font-size: 0.9rem; }
th, td { padding: 0.2rem 0.7rem 0.2rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; }
figure .wide { background: #fff; border-radius: 4px; }
figure svg { display: block; width: 100%; min-width: 27rem; height: auto; }
code { background: var(--band); padding: 0.1rem 0.3rem; overflow-wrap: anywhere; }
footer { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 0.5rem; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  h2, figcaption { break-after: avoid; } figure, tr { break-inside: avoid; }
  figure svg { max-width: 14cm; min-width: 0; } }
</style>
</head>
<body>
<header>
<h1>$title</h1>
<p class="lead">$lead</p>
</header>
<main>
$sections
</main>
<footer>
<p>$made</p>
</footer>
</body>
</html>
""")


def report(net: Any, path: str | os.PathLike[str] | None = None, *, image: Any = None, unit: Any = None,
           node: str | None = None, width: int = 16, channels_in: int = 3, ndim: int = 2,
           weights: Mapping[str, Any] | None = None, title: str = "", command: str = "",
           progress: bool | Callable[[int, int], Any] | None = None) -> str:
    """Everything about the receptive field of one unit on one self-contained page of HTML.

    Theoretical and effective receptive field, growth over the layers, what each layer contributes and costs, borders,
    gridding, remedies, assumptions, versions.  The page needs no network access and no script.

    Parameters
    ----------
    net : Network, or a Model of `from_torch`, `from_onnx` or `from_keras`
        A Model brings image, channels of the input and weights of its own.
    path : path, optional
        File to write, .html as a rule.
    image, unit, node, width, channels_in, ndim : optional
        As in `predict`.
    weights : mapping of str to array, optional
        Of a trained network, as in `predict`.
    title : str
        Heading of the page, as the name of the network.
    command : str
        Command line to be quoted at its end.
    progress : bool or callable, optional
        True shows a bar on stderr; a callable gets (done, total).

    Returns
    -------
    str
        The page.

    Raises
    ------
    ValueError, NotImplementedError
        As `predict` raises them.  A section whose numbers cannot be had says why instead.
    OSError
        If the file cannot be written.

    See Also
    --------
    predict : Effective receptive field, from theory.
    remedies : What would widen the ERF.
    layer_shares : Contribution of each layer.

    Examples
    --------
    >>> import erfmath as em
    >>> page = em.report(em.zoo.plain(5), "report.html", title="five layers")
    >>> page.startswith("<!DOCTYPE html>"), "<script" in page, "http" in page.split("<body>")[0]
    (True, False, False)
    """
    for name, text in (("title", title), ("command", command)):
        if not isinstance(text, str):
            raise TypeError(f"{name}={quoted(text)}: must be text")
    if path is not None:
        check_target(path)
    assuming: Callable[[EffectiveReceptiveField], EffectiveReceptiveField] = getattr(net, "assuming", lambda erf: erf)
    read = ""
    if hasattr(net, "settings") and not isinstance(net, Network):
        read = f"<section>\n<h2>The model</h2>\n<pre>{html.escape(net.summary())}</pre></section>\n"
        known = {"image": image, "node": node, "weights": weights}
        known = net.settings({name: value for name, value in known.items() if value is not None})
        image, node, weights = (known.get(name) for name in ("image", "node", "weights"))
        channels_in, net = known["channels_in"], net.net
    check_network(net)
    integer(width, "width", 1)
    run = {"image": image, "unit": unit, "node": node, "width": width, "channels_in": channels_in,
           "ndim": net.dimension(ndim)}
    with shown(progress, f"report {title}".strip()) as bar:
        bar(0, len(SECTIONS) + 1)
        erf = assuming(predict(net, **run, weights=weights))
        parts = []
        for i, (heading, section) in enumerate(SECTIONS.items(), 1):
            bar(i, len(SECTIONS) + 1)
            parts.append(f'<section>\n<h2>{heading}</h2>\n{"".join(_tried(section, net, erf, run))}</section>')
    page = PAGE.substitute(
        version=__version__, title=html.escape(title or f"Unit {erf.unit} of {erf.node}"), lead=_lead(erf),
        sections=read + "\n".join(parts), made=_made(command))
    if path is not None:
        write_atomically(path, lambda file: file.write(page.encode("utf-8", "backslashreplace")))
    return page


Run = Mapping[str, Any]


def _tried(section: Callable[[Network, EffectiveReceptiveField, Run], Iterator[str]], net: Network,
           erf: EffectiveReceptiveField, run: Run) -> Iterator[str]:
    """A section, or why there is none."""
    try:
        for i, part in enumerate(section(net, erf, run)):
            yield _svg(part, f"{section.__name__}{i}") if part.startswith("<?xml") else part
    except (ValueError, NotImplementedError, MemoryError) as error:
        yield f'<p class="note">Not available: {html.escape(" ".join(str(error).split()))}</p>'


# ---------------------------------------------------------------------------------------------
# sections
# ---------------------------------------------------------------------------------------------

def _lead(erf: EffectiveReceptiveField) -> str:
    side = _or_none(lambda: erf.size("mass", p=0.9))
    can = "the whole plane" if erf.trf.infinite else (
        f"{_times(last - first + 1 for first, last in zip(*erf.trf.window(erf.unit)))} pixels")
    does = "" if side is None else (
        f", but 90&nbsp;% of its effective receptive field lies within {_times([f'{side:.4g}'] * erf.ndim)} pixels")
    return (f"Unit {_point(erf.unit)} of <code>{html.escape(erf.node)}</code> can see {can}{does}. Its standard "
            f"deviation is {_times(f'{s:.3g}' for s in erf.std)} pixels.")


def seen(net: Network, erf: EffectiveReceptiveField, run: Run) -> Iterator[str]:
    """Numbers, and the picture."""
    rf = erf.trf
    rows: list[tuple[str, str]] = [
        ("image", "infinite plane" if erf.image is None else f"{_times(erf.image)} px"),
        ("TRF, largest of all units", f"{_times(rf.size)} px"), ("stride", f"{_times(rf.stride)} px"),
        ("TRF centre", f"pixel {', '.join(f'{c:g}' for c in erf.center)}"),
        ("centroid of the ERF", f"pixel {', '.join(f'{c:.4g}' for c in erf.centroid)}"),
        ("standard deviation", f"{_times(f'{s:.4g}' for s in erf.std)} px")]
    for words, number, form in (
            ("4.55 % width, the paper's size", lambda: erf.size(), "{:.4g} px"),
            ("ratio of that to the TRF", lambda: erf.ratio(), "{:.3g}"),
            ("radii that enclose 50, 90, 99 %", lambda: [erf.mass_radius(p) for p in (.5, .9, .99)], ""),
            ("square that encloses 90 %", lambda: erf.size("mass", p=.9), "{:.4g} px"),
            ("total power at the input", lambda: erf.total, "{:.4g}")):
        value = _or_none(number)
        if value is not None:
            rows.append((words, form.format(value) if form else ", ".join(f"{v:.4g}" for v in value) + " px"))
    yield _table(rows, header=False)
    yield from _figure(erf.plot(title="", **({"smooth": "stride"} if max(map(float, rf.stride)) > 1 else {})),
                       f"The effective receptive field: {erf.statistic}, {erf.method}.")


def growth(net: Network, erf: EffectiveReceptiveField, run: Run) -> Iterator[str]:
    """TRF and ERF of nodes on the way to the unit."""
    fields = receptive_fields(net, image=run["image"], ndim=run["ndim"])
    above = _ancestors(net, erf.node)
    path = [name for name in net.names if name in above and not fields[name].infinite]
    wider = [name for before, name in zip([None, *path], path)
             if before is None or fields[name].size != fields[before].size]
    spots = sorted({round(i) for i in np.linspace(0, len(wider) - 1, min(NODES, len(wider)))})
    rows: list[tuple[Any, ...]] = []
    for name in (wider[i] for i in spots):
        erf_there = _or_none(lambda: predict(net, **{**run, "node": name, "unit": None}))
        if erf_there is not None:
            rows.append((name, max(fields[name].size), float(np.sqrt((erf_there.std**2).mean())),
                         _or_none(lambda: erf_there.size("mass", p=0.9))))
    from .plotting.growth import plot_layers
    lines = {"TRF": 1, "square that encloses 90 % of the ERF": 3, "standard deviation": 2}
    yield from _figure(plot_layers([row[0] for row in rows], {
        label: [np.nan if row[column] is None else float(row[column]) for row in rows]
        for label, column in lines.items()}),
        "Growth over the layers: units in the middle of their maps.")
    yield _table([("node", "TRF, px", "standard deviation, px", "90 % square, px"), *(
        (name, f"{trf:g}", f"{std:.3g}", "" if side is None else f"{side:.4g}") for name, trf, std, side in rows)])


def layers(net: Network, erf: EffectiveReceptiveField, run: Run) -> Iterator[str]:
    """What each layer contributes to the variance, and what it costs."""
    shares = layer_shares(net, **run)
    rows = sorted(shares.layers, key=lambda row: -row.share)[:LAYERS]
    work = sum(row.multiply_adds for row in shares.layers) or 1
    most = f" The {LAYERS} of {len(shares.layers)} layers that contribute most:" if len(shares.layers) > LAYERS else ""
    yield f"<p>Variance of the ERF: {shares.variance:.4g} px².{most}</p>"
    yield _table([("node", "layer", "of the variance", "of the multiply-adds", "multiply-adds", "parameters"), *(
        (row.node, row.layer, percent(row.share),
         f"{row.multiply_adds / work:.1%}", f"{row.multiply_adds:,}",
         f"{row.parameters:,}") for row in rows)])
    if run["image"] is not None:
        whole = costs(net, run["image"], width=run["width"], channels_in=run["channels_in"], ndim=run["ndim"])
        yield (f'<p class="note">Whole network: {whole.total_multiply_adds:,} multiply-adds, '
               f"{whole.total_parameters:,} parameters.</p>")


def borders(net: Network, erf: EffectiveReceptiveField, run: Run) -> Iterator[str]:
    """Sizes of all units of the map, and layers that see more than the image."""
    if run["image"] is None:
        yield "<p>On the infinite plane there are none; give an image to see their effect.</p>"
        return
    general = {name: run[name] for name in ("width", "channels_in", "ndim")}
    rows = border_layers(net, run["image"], **general)
    first = [next((row.node for row in rows if getattr(row, what)), None) for what in ("beyond_trf", "beyond_erf")]
    yield "<ul>" + "".join(f"<li>First layer whose {words} exceeds the image: {_code(name) if name else 'none'}</li>"
                           for words, name in zip(("TRF", "95&nbsp;% square"), first)) + "</ul>"
    sizes = erf_size_map(net, run["image"], node=run["node"], **general)
    corner, middle = (0,) * sizes.size.ndim, tuple(n // 2 for n in sizes.size.shape)
    yield (f"<p>Standard deviation over the {_times(sizes.size.shape)} units of {_code(sizes.node)}: corner "
           f"{sizes.size[corner]:.3g} px, middle {sizes.size[middle]:.3g} px. In the corner, "
           f"{1 - sizes.total[corner] / sizes.total[middle]:.0%} of the power of the middle unit is lost.</p>")
    if sizes.size.ndim == 2 and max(sizes.size.shape) > 1:
        from .plotting.design import plot_size_map
        yield from _figure(plot_size_map(sizes), "Size of the ERF of every unit, and shift of its centroid.")


def gridding(net: Network, erf: EffectiveReceptiveField, run: Run) -> Iterator[str]:
    """Holes, and ripples of the strides."""
    part = holes(net, **{name: run[name] for name in ("image", "unit", "node", "ndim")})
    ripple = checkerboard(erf)
    words = "none to speak of" if ripple < 0.1 else "visible" if ripple < 0.5 else "strong"
    yield _table([("pixels of the TRF that no path reaches", f"{part:.1%}"),
                  ("ripples with periods of up to 8 px, 0 (none) to 1", f"{ripple:.2f} ({words})")], header=False)


def changes(net: Network, erf: EffectiveReceptiveField, run: Run) -> Iterator[str]:
    """What would widen the ERF, by gain per cost."""
    found = remedies(net, **run)
    if not found.changes:
        yield "<p>No change to try.</p>"
        return
    rows = [("change", "standard deviation, px", "gain", "multiply-adds", "TRF, px", "")]
    for one in (found.now, *found.changes[:CHANGES]):
        rows.append((one.what, f"{one.size:.4g}", f"{one.gain:+.1%}", f"{one.cost:+.1%}", str(one.trf),
                     "gridding" if one.gridding else ""))
    yield (f"<p>The best {len(rows) - 2} of {len(found.changes)} changes, by gain per cost; those that cause gridding "
           "come last. Each was predicted, none was trained.</p>")
    yield _table(rows)


def assumptions(net: Network, erf: EffectiveReceptiveField, run: Run) -> Iterator[str]:
    """What the prediction rests on."""
    if not erf.assumptions:
        yield "<p>None: for this network the theory is exact.</p>"
    yield "<ul>" + "".join(f"<li><code>{html.escape(a.name)}</code>: {html.escape(a.value)}</li>"
                           for a in erf.assumptions) + "</ul>" if erf.assumptions else ""


SECTIONS = {"What the unit sees": seen, "Growth over the layers": growth, "Contribution and cost of each layer": layers,
            "Borders": borders, "Gridding": gridding, "What would widen it": changes, "Assumptions": assumptions}


# ---------------------------------------------------------------------------------------------
# pieces
# ---------------------------------------------------------------------------------------------

def _ancestors(net: Network, node: str) -> set[str]:
    found, waiting = set(), [node]
    while waiting:
        name = waiting.pop()
        if name in net.names and name not in found:
            found.add(name)
            waiting += net[name].inputs
    return found


def _figure(figure: Figure, caption: str) -> Iterator[str]:
    """A picture as SVG, its text as text."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    yield '<figure><div class="wide">\n'
    yield file.getvalue()
    yield f"</div><figcaption>{html.escape(caption)}</figcaption></figure>\n"


def _svg(text: str, prefix: str) -> str:
    """A document of Matplotlib as part of a page: no prolog, no fixed size, names of its own."""
    text = text[text.index("<svg"):]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'^(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'^(<svg[^>]*?) height="[^"]*"', r"\1", text))
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    return re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", text)


def _table(rows: Sequence[Sequence[object]], *, header: bool = True) -> str:
    return f'<div class="wide">{html_table(rows, header=header)}</div>\n'


def _made(command: str) -> str:
    import matplotlib
    import scipy

    versions = (f"erfmath {__version__}, Python {platform.python_version()}, NumPy {np.__version__}, "
                f"SciPy {scipy.__version__}, Matplotlib {matplotlib.__version__}")
    return (f"Made by {_code(command)} with " if command else "Made with ") + versions + "."


def _code(text: str) -> str:
    return f"<code>{html.escape(text)}</code>"


def _times(values: Any) -> str:
    return " × ".join(map(str, values))


def _point(values: Sequence[int]) -> str:
    return f"({', '.join(map(str, values))})"


def _or_none(number: Callable[[], Any]) -> Any:
    """A number, or None where there is none."""
    try:
        return number()
    except (ValueError, NotImplementedError, OverflowError, MemoryError):
        return None
