"""Hostile peers: what one of them sends leaves the calls of everybody else as they are."""
