"""Tools: functions that the language model may call, and how tool calls are run."""
