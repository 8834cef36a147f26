"""Sixty faults, planted one by one: do the tests notice?

    python tests/mutants.py                  # all, in a copy of the project; a table at the end
    python tests/mutants.py statistics walks # some
    python tests/mutants.py --results F      # a line in F for each fault; goes on where it was stopped

Each fault is one line of code with another sign, factor, comparison or term; its tests are those of the
default run that are about this module.  A fault that no test notices is a test to be written.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
#: Seconds of the processor after which the tests of one fault are stopped; a fault that makes them hang is noticed.
LIMIT = 300


class Fault(NamedTuple):
    """A line to be replaced, first where it occurs, and the tests that should fail."""

    file: str
    old: str
    new: str
    tests: str


FAULTS: dict[str, list[Fault]] = {
    "rules": [
        Fault("theory/rules/convolution.py", "(array**2).sum(axis=(0, 1)) / c_out",
              "(array**2).sum(axis=(0, 1)) / c_in", "theory/test_predict.py theory/test_trained.py"),
        Fault("theory/rules/convolution.py", "times((c_out / c_in)**0.5)", "times(c_out / c_in)",
              "theory/sweep/test_backward.py theory/test_predict.py"),
        Fault("theory/rules/elementwise.py", "corr_site=m.corr_site * kept", "corr_site=m.corr_site",
              "theory/rules/test_elementwise.py theory/sweep/test_forward.py theory/test_gates.py"),
        Fault("theory/rules/normalisation.py", "left = at.gates.even.get(at.source, (1.0, 1.0))[0] * self.spares(at)",
              "left = 1.0", "theory/rules/test_normalisation.py theory/test_particles.py"),
        Fault("theory/rules/merge.py", "(whole - first - second) / 2", "(whole - first - second)",
              "theory/rules/test_merging.py theory/test_particles.py"),
        Fault("theory/rules/merge.py", "both = parts[one].mean(a * b)", "both = 0",
              "theory/sweep/test_forward.py"),
        Fault("empirics/rules/normalisation.py", "on_x = -on_dy * factor * to_scale / n",
              "on_x = on_dy * factor * to_scale / n", "empirics/rules/test_normalisation.py training/test_fitting.py"),
        Fault("empirics/rules/activation.py", "return y, y * (1 - y)", "return y, y * (1 + y)",
              "empirics/rules/test_activation.py"),
        Fault("empirics/rules/pooling.py", "view += dy * (winner == a)", "view += dy * (winner <= a)",
              "empirics/rules/test_pooling.py"),
        Fault("empirics/rules/elementwise.py", "give_back(dy * factor)", "give_back(dy)",
              "empirics/rules/test_elementwise.py"),
    ],
    "sweeps": [
        Fault("theory/sweep/factor.py", "* column(np.asarray(groups) / count,",
              "* column(np.asarray(groups) / 1,", "theory/sweep/test_backward.py theory/test_predict.py"),
        Fault("theory/sweep/covariance.py", "return self._scaled(factor**2)", "return self._scaled(factor)",
              "theory/sweep/test_backward.py theory/rules/test_elementwise.py"),
        Fault("theory/sweep/covariance.py", "noise = drop / (1 - drop) * self.values[center]",
              "noise = drop * self.values[center]", "theory/sweep/test_backward.py theory/rules/test_elementwise.py"),
        Fault("theory/sweep/taps.py", "begin[axis] = g.stride * start[axis] - before",
              "begin[axis] = g.stride * start[axis]", "theory/test_predict.py theory/sweep/test_taps.py"),
        Fault("theory/sweep/taps.py", "offsets = [g.dilation * a for g", "offsets = [a for g",
              "theory/test_predict.py"),
        Fault("theory/sweep/moments.py", "return self.corr_site * self.average", "return self.average",
              "theory/sweep/test_forward.py theory/test_gates.py"),
        Fault("theory/sweep/backward.py", '"modes": [1 / count, 1 - 1 / count]', '"modes": [1 / count, 1]',
              "theory/test_predict.py theory/sweep/test_backward.py"),
        Fault("theory/sweep/backward.py", "self.log_scale -= exponent * math.log(2)",
              "self.log_scale += exponent * math.log(2)", "analysis/test_size_map.py"),
        Fault("theory/sweep/transpose.py", "return np.asarray(values * factors)", "return np.asarray(values)",
              "theory/sweep/test_transpose.py"),
        Fault("theory/sweep/site_distribution.py", "return self._mean(self.slope**2)",
              "return self._mean(self.slope)**2", "theory/sweep/test_site_distribution.py"),
    ],
    "walks": [
        Fault("walks/steps.py", "cumulants = np.stack([m2, m3, m4 - 3 * m2**2",
              "cumulants = np.stack([m2, m3, m4 - 2 * m2**2", "walks/test_certify.py walks/test_base.py"),
        Fault("walks/steps.py", "(self.row_means - middle) ** 2", "(self.row_means - middle)",
              "walks/test_base.py walks/test_steps.py"),
        Fault("walks/base.py", "return self._problem.lattice_covariance * np.outer(span, span)",
              "return self._problem.lattice_covariance * span", "walks/test_base.py"),
        Fault("walks/base.py", "(inside & (rest == 0)).all(axis=-1)", "inside.all(axis=-1)", "walks/test_base.py"),
        Fault("walks/charfun.py", '1 - 2 * np.einsum("mk,mkp->mp", u, np.sin(y / 2) ** 2)',
              '1 - np.einsum("mk,mkp->mp", u, np.sin(y / 2) ** 2)', "walks/test_modes.py walks/test_charfun.py"),
        Fault("walks/modes.py", "turn = 2 * pi * self.grid", "turn = pi * self.grid",
              "walks/test_modes.py walks/test_charfun.py"),
        Fault("walks/modes.py", "return out / self.volume", "return 2 * out / self.volume",
              "walks/test_modes.py walks/test_charfun.py"),
        Fault("walks/direct.py", "return block.taps[:, 0]", "return block.taps[:, 0] + 1",
              "walks/test_dense.py walks/test_direct.py"),
        Fault("walks/dense.py", "factor *= (Fraction(1, sum(integers)) if positive else unit) ** count",
              "factor *= Fraction(1, sum(integers)) if positive else unit", "walks/test_dense.py"),
        Fault("walks/saddle.py", "m4 - 3 * m2**2", "m4 - m2**2", "walks/test_saddle.py walks/test_certify.py"),
    ],
    "measurement": [
        Fault("empirics/plan.py", "maps = np.maximum(g, 0).sum", "maps = np.maximum(-g, 0).sum",
              "empirics/test_measure.py"),
        Fault("empirics/plan.py", "(value.reshape(gradient.shape) > 0)", "(value.reshape(gradient.shape) < 0)",
              "empirics/test_measure.py"),
        Fault("empirics/plan.py", "np.full_like(combination, 1 / combination.shape[1])",
              "np.full_like(combination, 1.0)", "empirics/test_measure.py"),
        Fault("empirics/plan.py", 'if self.statistic in ("power", "amplitude"):', 'if self.statistic == "power":',
              "empirics/test_measure.py"),
        Fault("empirics/sampling.py", "/ math.sqrt(self.unit_channels)", "/ 1.0",
              "empirics/test_measure.py empirics/test_sampling.py"),
        Fault("empirics/sampling.py", "boxes *= math.sqrt(12)", "boxes *= math.sqrt(9)",
              "empirics/test_sampling.py empirics/test_measure.py"),
        Fault("empirics/sampling.py", "turn = np.arange(start * each,", "turn = np.arange(start,",
              "empirics/test_sampling.py"),
        Fault("empirics/measure.py", "LEAST_DRAWS = 30", "LEAST_DRAWS = 20", "empirics/test_measure.py"),
        Fault("empirics/measure.py", "(error <= until * std)", "(error <= 2 * until * std)",
              "empirics/test_measure.py"),
        Fault("empirics/measure.py", "whole=end == begin + size", "whole=True",
              "empirics/test_measure.py empirics/test_checkpoint.py"),
    ],
    "statistics": [
        Fault("results/statistics.py", "return np.sqrt(self.square / (self.count * (self.count - 1)))",
              "return np.sqrt(1.23 * self.square / (self.count * (self.count - 1)))", "results/test_statistics.py"),
        Fault("results/statistics.py", "self.square + other.square + step * step * (self.count * part)",
              "self.square + other.square", "results/test_statistics.py"),
        Fault("results/statistics.py", "self.line_square + other.line_square + lines * lines * (self.count * part)",
              "self.line_square + other.line_square", "results/test_statistics.py"),
        Fault("results/statistics.py", "self.scatter + other.scatter + np.outer(rough, rough * (self.count * part))",
              "self.scatter + other.scatter", "results/test_statistics.py"),
        Fault("results/statistics.py", "totals.sum()**2 / (totals @ totals)",
              "totals.sum()**2 / (totals @ totals) + 1", "results/test_statistics.py results/test_measured.py"),
        Fault("results/statistics.py", "square - 2 * share * cross + share**2 * spread",
              "square + 2 * share * cross + share**2 * spread", "results/test_statistics.py"),
        Fault("results/statistics.py", "(centre**2 - variance) * (self.totals / total)",
              "(centre**2 + variance) * (self.totals / total)", "results/test_statistics.py"),
        Fault("comparison.py", "square * (n - rank) / (rank * (n - 1))", "square / rank", "test_comparison.py"),
        Fault("comparison.py", "error = 0.5 * math.sqrt(max(float(signs", "error = math.sqrt(max(float(signs",
              "test_comparison.py"),
        Fault("training/losses.py", "number = max(int(counts.sum()), 1)", "number = counts.size",
              "training/test_losses.py"),
    ],
    "results": [
        Fault("results/density.py", "far = np.maximum.reduce(", "far = np.minimum.reduce(",
              "results/test_density.py results/test_sizes.py"),
        Fault("results/density.py", "offsets[b] @ self.share.sum(axis=rest) @ offsets[a]",
              "2 * offsets[b] @ self.share.sum(axis=rest) @ offsets[a]",
              "results/test_density.py results/test_field.py"),
        Fault("results/density.py", "math.prod(float(line @ line) for line", "math.prod(float(line.max()) for line",
              "results/test_density.py results/test_sizes.py"),
        Fault("results/density.py", "return math.copysign(1.0, self.total)", "return 1.0",
              "analysis/test_size_map.py"),
        Fault("results/density.py", "abs(line.sum() - 1) < UNITY", "abs(line.sum() - 1) < 9", "results/test_files.py"),
        Fault("results/files.py", 'signed=statistic == "mean"', "signed=True", "results/test_files.py"),
        Fault("results/measured.py", "max(self.effective_draws - 1, 0.0)", "self.effective_draws",
              "results/test_measured.py test_comparison.py"),
        Fault("results/measured.py", "HEAVY = 0.5", "HEAVY = 0.05", "results/test_measured.py"),
        Fault("results/field.py", "area**(1 / self.ndim)", "area**0.5", "results/test_field.py results/test_sizes.py"),
        Fault("results/field.py", "np.sqrt(np.diag(self.covariance))", "np.diag(self.covariance)",
              "results/test_field.py results/test_sizes.py"),
    ],
}


def noticed(fault: Fault, folder: Path) -> str:
    """Whether the tests fail in a copy of the project with the fault, and which does first."""
    file = folder / "erfmath" / fault.file
    text = file.read_text()
    if fault.old not in text:
        return "the line is gone"
    file.write_text(text.replace(fault.old, fault.new, 1))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider",
               *(f"tests/{name}" for name in fault.tests.split())]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT)),
                              env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(folder)})
    finally:
        file.write_text(text)
    if done.returncode < 0:
        return "noticed: no end"
    if done.returncode == 0:
        return "MISSED"
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "noticed: " + (failed[0].split(" - ")[0].split("/")[-1] if failed else f"status {done.returncode}")


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help=f"of {', '.join(FAULTS)} (default: all)")
    parser.add_argument("--results", type=Path, help="file of what was found, whose faults are not tried again")
    args = parser.parse_args(words)
    names = args.modules or list(FAULTS)
    table, missed = [], 0
    known = {}
    if args.results and args.results.exists():
        known = dict(line.rsplit("\t", 1) for line in args.results.read_text().splitlines())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "copy"
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".git", "__pycache__", ".*_cache"))
        for module in names:
            found = 0
            for fault in FAULTS[module]:
                key = f"{module}: {fault.file}: {fault.old[:60]!r} -> {fault.new[:60]!r}"
                what = known.get(key) or noticed(fault, folder)
                found += what.startswith("noticed")
                print(f"{key}: {what}", flush=True)
                if args.results and key not in known:
                    with args.results.open("a") as file:
                        file.write(f"{key}\t{what}\n")
            missed += len(FAULTS[module]) - found
            table.append(f"| {module} | {len(FAULTS[module])} | {found} |")
    print("\n| planted in | faults | noticed |\n|---|---|---|\n" + "\n".join(table))
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
