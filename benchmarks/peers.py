"""Benchmark of Vantum beside Pipecat and LiveKit Agents: the same calls, vendors, speech and machine for all.

    python benchmarks/peers.py
    python benchmarks/peers.py --servers vantum pipecat --calls 16,24

Run by `make bench-peers`. Each peer is installed into an environment of its own under
`benchmarks/environments/`, never among our dependencies. What cannot be installed is left out, and the
report says so. `docs/benchmark.md` says what is fair about it, and what is not.
"""

from __future__ import annotations

from benchmarks.load.command import parser, run
from benchmarks.load.environments import environment
from benchmarks.load.processes import BenchmarkError
from benchmarks.load.servers import LIVEKIT_PACKAGES, PIPECAT_PACKAGES, SERVERS

CALLS = (1, 8, 16, 24, 30, 45, 60, 75)
USUAL = [name for name in SERVERS if name != "parrot"]
PACKAGES = {"pipecat": PIPECAT_PACKAGES, "livekit": LIVEKIT_PACKAGES}
NO_SERVER = (
    "LiveKit Agents runs here without LiveKit's own server and without rooms: the server's program is in no "
    "package registry that can be reached. Its work, and that of a process for each call, is not in these "
    "figures."
)


def main() -> None:
    """Install the peers, measure all servers, report."""
    options = parser("telephone")
    options.set_defaults(calls=CALLS, repeats=3, until_broken=True)
    options.add_argument("--servers", nargs="+", choices=sorted(SERVERS), default=USUAL)
    chosen = options.parse_args()
    missing, wanted = {}, list(chosen.servers)
    for name, packages in PACKAGES.items():
        if any(each.startswith(name) for each in wanted):
            try:
                environment(name, packages)
            except BenchmarkError as error:
                missing[name] = str(error)
                wanted = [each for each in wanted if not each.startswith(name)]
    notes = [f"{name} is not measured: {why}" for name, why in missing.items()]
    if any(each.startswith("livekit") for each in wanted):
        notes.append(NO_SERVER)
    for note in notes:
        print(note)
    try:
        run("telephone", tuple(SERVERS[each] for each in wanted), chosen, preface=" ".join(notes))
    except BenchmarkError as error:
        raise SystemExit(f"Nothing more can be measured: {error}") from None


if __name__ == "__main__":
    main()
