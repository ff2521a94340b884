"""The table of faults: every fault of every provider in each state of a call, and what the caller hears.

`python -m tests.faults` writes `docs/faults.md`. The tests check every cell, and that the file is what a run
gives. Calls run in virtual time: the real orchestrator and the real adapters with their SDKs, connected
through memory to the simulators.
"""
