"""The conversation machine: its chart, what it ignores, its deadlines, guards, actions and memory."""
