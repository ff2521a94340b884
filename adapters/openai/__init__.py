"""Language models behind any server with OpenAI's chat interface."""
