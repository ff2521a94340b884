"""The orchestrator as a library: conversations inside host programs, under Trio or asyncio."""
