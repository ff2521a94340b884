"""The journal of a call: its format, how it is written, redacted and replayed."""
