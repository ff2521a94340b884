"""`python -m orchestrator.cli` is `vantum`."""

from orchestrator.cli.main import main

main()
