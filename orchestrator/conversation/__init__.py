"""Runs one conversation: its inbox, its machine, and the performer of the machine's effects."""
