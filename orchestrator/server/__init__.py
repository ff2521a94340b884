"""The server: one port for WebSocket and HTTP, and the page."""
