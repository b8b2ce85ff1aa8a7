"""`python -m benchmarks`: see `./dev help`, or `--help` here."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import quick
from benchmarks.cases import SUBJECTS, all_cases
from benchmarks.measure import Measured, measure_all, profile_all
from benchmarks.plot import plot
from benchmarks.report import Result, read_results, table, update_page, write_results
from benchmarks.subjects import ROOT, about

__all__ = ["main"]

RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "explanation" / "speed.md"
PLOT = PAGE.with_suffix(".svg")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and keep it. Returns the exit status."""
    given = _parser().parse_args(arguments)
    cases = [case for case in all_cases() if not given.workloads or case.workload in given.workloads]
    if unknown := sorted(set(given.workloads) - {case.workload for case in cases}):
        print(f"No such workload: {', '.join(unknown)}", file=sys.stderr)
        return 2
    if given.profile:
        for case, text in profile_all(cases):
            print(case.id, text, sep="\n")
        return 0
    if given.quick:
        return quick.run(cases, given.repeat or 2, record=given.record)
    machine = about()
    found = read_results(given.out, machine)
    for case, measured in measure_all(cases, SUBJECTS, repeat=given.repeat or 5):
        found[case.id] = measured
        write_results(given.out, _results(found), machine)
    results = _results(found)
    print(table([result for result in results if result.case in cases]))
    if given.out == RESULTS:
        update_page(PAGE, results, machine)
        PLOT.write_text(plot(results), "utf-8")
    return 0


def _results(found: dict[str, Measured]) -> list[Result]:
    return [Result(case, found[case.id]) for case in all_cases() if case.id in found]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description="Measures us, mad-prefect 2.3.0 and the bare libraries by turns, each time in a new process. "
        "Results of other workloads that were measured with the same versions on the same machine are kept.",
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="such as W1 W3; all of them if none is given")
    parser.add_argument("--repeat", type=int, metavar="N", help="how often (5, in the quick form 2)")
    parser.add_argument(
        "--out",
        type=Path,
        default=RESULTS,
        metavar="FILE",
        help="where all measurements go; if not given, they are what the documentation shows as table and plot",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="print which of our functions the CPU time goes to, in all threads, instead",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="little data, without mad-prefect 2.3.0; writes nothing, and fails where a case takes "
        f"{quick.MARGIN:g} times as long, by the floor, as was recorded",
    )
    parser.add_argument("--record", action="store_true", help="with --quick: record what was measured instead")
    return parser


if __name__ == "__main__":
    sys.exit(main())
