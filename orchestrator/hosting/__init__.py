"""The orchestrator as a library: conversations inside a host program, under Trio or asyncio."""
