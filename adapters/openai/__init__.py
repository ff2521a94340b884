"""Language models behind any server with OpenAI's chat interface."""

BASE_URL = "https://api.openai.com/v1"
DEFAULT_MODEL = "gpt-4.1-2025-04-14"
"""The reference server's model, used when OpenAI is chosen by a key alone."""
