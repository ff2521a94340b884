"""Every fault of every provider, in each state of a whole call: what the caller hears, as a generated table.

`python -m tests.faults` writes `docs/faults.md`; the tests hold every cell to its promises, and the file to
what the run gives. Calls run in virtual time: the real orchestrator, the real adapters through their SDKs,
and the simulated vendors, connected through memory.
"""
