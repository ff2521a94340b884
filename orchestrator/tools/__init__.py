"""Tools: functions that the language model may call, and how a call is run."""
