"""The click commands of `vantum`, one module for each group; the modules beside this folder do the work.

A command imports what it needs only when it runs, so that `vantum --help` is quick.
"""
