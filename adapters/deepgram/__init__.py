"""Deepgram: speech to text by Nova (v1) and Flux (v2)."""
