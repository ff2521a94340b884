"""Who is let in where: all credentials at all endpoints, through real sockets; for `docs/access.md`."""
