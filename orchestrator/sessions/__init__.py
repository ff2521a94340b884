"""Sessions of WebSocket clients: one connection is one conversation."""
