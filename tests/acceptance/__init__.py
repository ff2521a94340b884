"""The product as its users meet it: the real server process, real sockets, real speech, a real browser."""
