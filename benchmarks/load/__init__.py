"""Load on a running server: callers, simulated vendors that cost little, and what is measured of both."""
