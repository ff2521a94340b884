"""The providers of a process: how they are chosen, and which of them work."""
