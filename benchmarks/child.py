"""The process of one measurement: it does one step of one case, and prints what that took as one line of JSON. The
answer of the step `profile` is where the time went."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.cases import all_cases
from benchmarks.profiling import profiled

__all__ = ["main"]


def main(task: str) -> None:
    """`task` is a JSON object with the keys case, subject, step, folder and size."""
    given = json.loads(task)
    case = next(case for case in all_cases() if case.id == given["case"])
    bench = Bench(given["subject"], Path(given["folder"]), given["size"])
    step = (case.prepare if given["step"] == "prepare" else case.subjects)[bench.subject]
    if isinstance(step, str):
        raise TypeError(f"{case.id} is measured as a whole process")
    answer = profiled(lambda: step(bench)) if given["step"] == "profile" else step(bench)
    took = {"seconds": bench.seconds, "cpu_seconds": bench.cpu_seconds, "requests": bench.requests}
    print(json.dumps({**took, "answer": answer}))


if __name__ == "__main__":
    main(sys.argv[1])
