"""Cartesia: text to speech."""

BASE_URL = "https://api.cartesia.ai"
DEFAULT_MODEL = "sonic-3"
DEFAULT_VOICE_ID = "c961b81c-a935-4c17-bfb3-ba2239de8c2f"
"""The reference server's: Kyle."""
