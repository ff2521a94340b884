"""The command line: `vantum`. `commands/` holds its commands, the modules beside it what they do."""
