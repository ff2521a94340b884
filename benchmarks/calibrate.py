"""How many calls does a server bear that has one core of this machine? Proposes MAX_SESSIONS.

    python benchmarks/calibrate.py
    vantum bench --calibrate

Starts the server on core 0, and callers and simulated vendors on core 1, for each number of calls anew: twice
as many each time until figures break, then between. Admission is off: it would refuse what is to be found.
`docs/benchmark.md` says what a call is.
"""

from __future__ import annotations

import argparse
from functools import partial

from benchmarks.load import calibration, report
from benchmarks.load.command import progress
from benchmarks.load.processes import LOAD_CORE, BenchmarkError, machine, pinned
from benchmarks.load.run import Measured, Wanted, measure
from benchmarks.load.servers import VANTUM
from benchmarks.load.vendors import Budget

WITHOUT_ADMISSION = {"ADMISSION": "false", "MAX_SESSIONS": "100000"}


def main() -> None:
    """Search and propose."""
    options = argparse.ArgumentParser(
        description="Proposes MAX_SESSIONS for this machine.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    options.add_argument(
        "--seconds", type=int, default=20, help="that are measured with each number of calls"
    )
    options.add_argument("--most-ms", type=float, default=650, help="longest time to the first audio, p95")
    options.add_argument("--most-calls", type=int, default=512, help="more are not tried")
    chosen = options.parse_args()
    pinned(LOAD_CORE)()
    print(machine(), flush=True)
    try:
        found = calibration.search(partial(_hold, chosen.seconds), chosen.most_ms, chosen.most_calls)
    except BenchmarkError as error:
        raise SystemExit(f"Nothing more can be measured: {error}") from None
    print(report.table(found.rows))
    print(found)
    raise SystemExit(0 if found.held else 1)


def _hold(seconds: int, calls: int) -> Measured:
    title = f"{calls} calls"
    wanted = Wanted(VANTUM, "telephone", calls, seconds, WITHOUT_ADMISSION, Budget())
    row = measure(wanted, partial(progress, title))
    progress("", "")
    print(f"{title}: {report.line_of(row)}", flush=True)
    return row


if __name__ == "__main__":
    main()
