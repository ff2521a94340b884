"""Benchmark of many calls of browsers at once on a server that has one core: 48 kHz MessagePack both ways.

    python benchmarks/browser_load.py --calls 1,8,16

The same calls and the same measurements as in `telephone_load.py`. `docs/benchmark.md` says what they mean.
"""

from __future__ import annotations

from benchmarks.load.command import main

if __name__ == "__main__":
    main("browser")
