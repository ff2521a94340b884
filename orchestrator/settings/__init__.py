"""Settings: everything an operator can choose."""
