"""Benchmark of many telephone calls at once on a server that has one core.

    python benchmarks/telephone_load.py --calls 1,16,24 --repeats 3
    python benchmarks/telephone_load.py --calls 12 --profile

Starts the server on core 0, and callers and simulated vendors on core 1, for each number of calls anew. Each
caller asks, hears the answer, interrupts it, and hears the next one to its end. Figures go to
`benchmarks/results/`. `docs/benchmark.md` says what each figure means.
"""

from __future__ import annotations

from benchmarks.load.command import main

if __name__ == "__main__":
    main("telephone")
