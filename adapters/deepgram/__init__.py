"""Deepgram: speech to text by Nova (v1) and Flux (v2)."""

BASE_URL = "wss://api.deepgram.com"
DEFAULT_MODEL = "nova-2"
"""The reference server's."""
