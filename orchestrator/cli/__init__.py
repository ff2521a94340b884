"""The command line: `vantum`, one module for each group of commands."""
