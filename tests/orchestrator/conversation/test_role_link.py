"""The open link of a role, as those who use it find it."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from orchestrator.conversation.role_link import RoleLink


async def test_a_link_that_is_being_closed_is_not_used_any_more(autojump_clock: MockClock) -> None:
    role: RoleLink[str] = RoleLink()
    with role.provide(0, "first"):
        assert await role.get() == (0, "first")
        role.withdraw(0)
        with trio.move_on_after(1) as waiting:
            await role.get()
        assert waiting.cancelled_caught
        with role.provide(1, "second"):
            assert await role.get() == (1, "second")


async def test_the_next_link_outlives_the_end_of_the_one_before(autojump_clock: MockClock) -> None:
    role: RoleLink[str] = RoleLink()
    first = role.provide(0, "first")
    first.__enter__()
    role.withdraw(0)
    with role.provide(1, "second"):
        first.__exit__(None, None, None)
        assert await role.get() == (1, "second")
