"""Equal functions have equal fields: many random cases of all rewrites, in parts that can be interrupted and resumed.

    python tests/rewrites.py rewrites.jsonl --rounds 0 404 --seed 1

A round takes one case of each rewrite of `theory/test_metamorphic.py`; 404 of them are 50,000.  Each round is a line of
the file: its number, cases, seconds of the processor and, of each case that fails, the rewrite, what differs and the
smallest network found.  Rounds that the file has are not done again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "theory"))

import numpy as np  # noqa: E402
import test_metamorphic as metamorphic  # noqa: E402

#: Random networks that the cases are put into.
HOSTS = 6000
#: One round in so many is looked at for everything.
SELDOM = 8


def case_of(name: str, number: int, seed: int) -> tuple[metamorphic.Case, tuple[str, ...]]:
    """A case, and what it is looked at for."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
    looks = metamorphic.ALWAYS + metamorphic.SELDOM * (number % SELDOM == 0)
    return metamorphic.draw_case(name, rng, HOSTS), looks


def play(number: int, seed: int, shrink: bool = True, names: tuple[str, ...] = tuple(metamorphic.REWRITES)
         ) -> dict[str, Any]:
    """One case of each rewrite."""
    start, faults = time.process_time(), []
    for name in names:
        case, looks = case_of(name, number, seed)
        text = metamorphic.fault(case, looks)
        if text:
            told = metamorphic.told(metamorphic.shrunk(case, looks), looks) if shrink else text
            faults.append({"rewrite": name, "fault": text, "smallest": told})
    return {"round": number, "seed": seed, "cases": len(names), "seconds": round(time.process_time() - start, 1),
            "faults": faults}


def main(arguments: list[str] | None = None) -> int:
    """Play rounds, print what fails, and how many cases did not; 1 if any failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, nargs=2, default=(0, 404), metavar=("FIRST", "LAST"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so many")
    options = parser.parse_args(arguments)
    known = [json.loads(line) for line in options.file.read_text().splitlines()] if options.file.exists() else []
    done = {line["round"] for line in known if line["seed"] == options.seed}
    end = time.monotonic() + 60 * options.minutes
    for number in range(*options.rounds):
        if number in done:
            continue
        if time.monotonic() > end:
            break
        line = play(number, options.seed)
        with options.file.open("a") as lines:
            lines.write(json.dumps(line) + "\n")
        for fault in line["faults"]:
            print(f"round {number}: {fault['smallest']}", flush=True)
        known.append(line)
    cases, seconds, faults = (sum(line[key] if key != "faults" else len(line[key]) for line in known)
                              for key in ("cases", "seconds", "faults"))
    print(f"{cases} cases, {faults} failed; {60 * cases / max(seconds, 1e-9):.0f} cases a minute of the processor")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
