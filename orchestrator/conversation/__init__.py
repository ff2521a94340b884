"""One conversation as a running program: inbox, machine, performer."""
