"""Who has room: how many sessions there may be, who makes room for somebody else, and who is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio
from attrs import Factory, define, field

from adapters.logs import library_logger
from orchestrator.server.admissions import OVERLOADED, Admissions, end_overloaded
from orchestrator.server.connection_limits import ConnectionLimits, most_calls
from orchestrator.server.load import Load, measure_load
from orchestrator.sessions.served_session import ServedSession
from orchestrator.settings.processors import processors
from orchestrator.settings.settings import Settings
from protocol import SystemBusy

log = library_logger(__name__)

SILENT_S = 5.0
"""A session that has begun nothing for so long ends if somebody else needs its line."""
CROWD_OF_LINES = 3
"""Of so many sessions from one address that have begun nothing, the oldest makes room at once."""
BUSY = "all lines are busy"
"""Why no call can be made, in words."""


@define(eq=False)
class Capacity:
    """The lines of a server: each session has one.

    When all are taken, sessions that have begun nothing make room. When there is too much to do, nobody new
    is taken, and in the end the newest sessions end.
    """

    settings: Settings
    connections: ConnectionLimits
    promised: Callable[[], int]
    """Returns how many telephone calls will need a line and have none yet."""
    sessions: set[ServedSession] = field(factory=set, init=False)
    """Those that have a line."""
    admissions: Admissions = field(
        default=Factory(
            lambda self: Admissions(self.settings.admission_policy, self._end_newest), takes_self=True
        ),
        init=False,
    )
    """Refuses calls that would harm the others."""
    _running_since: dict[ServedSession, float] = field(factory=dict, init=False)
    """When each session began, in that order."""
    _leaving: set[ServedSession] = field(factory=set, init=False)
    """Sessions that are being ended to make room: their lines are free."""
    _address_of: dict[ServedSession, str] = field(factory=dict, init=False)
    """Of each session of a client."""

    @property
    def most(self) -> int:
        """How many sessions may run at once."""
        return min(self.settings.capacity, most_calls(self.connections.descriptors))

    # --- those that have a line ---------------------------------------------------------------------------

    @contextmanager
    def line_of(self, session: ServedSession) -> Iterator[None]:
        """The session has a line while the block runs."""
        self.sessions.add(session)
        try:
            yield
        finally:
            self.sessions.discard(session)
            self._leaving.discard(session)
            self._running_since.pop(session, None)

    def begins(self, session: ServedSession) -> None:
        """The session, which has a line, begins now."""
        self._running_since[session] = trio.current_time()

    @contextmanager
    def comes_from(self, session: ServedSession, address: str) -> Iterator[None]:
        """The session is that of a client from this address while the block runs."""
        self._address_of[session] = address
        try:
            yield
        finally:
            del self._address_of[session]

    def _calls(self) -> int:
        """How many calls run or were promised."""
        return len(self.sessions - self._leaving) + self.promised()

    # --- whether there is room ----------------------------------------------------------------------------

    def no_room(self, promised: int = 0, *, taken: bool = False) -> str | None:
        """Why no session can begin now, in words; None if one can. `promised` more will begin soon.

        `taken`: the call was promised before, so that its load is no reason any more. Sessions that have
        begun nothing make room.
        """
        if not taken and self.would_harm():
            return OVERLOADED
        return None if self.make_room(promised) else BUSY

    def would_refuse(self) -> str | None:
        """Why no session could begin now, in words; None if one could. Nobody makes room."""
        missing = self._missing(0)
        if len(self._giving_way(missing, "")) < missing:
            return BUSY
        return OVERLOADED if self.would_harm() else None

    def would_harm(self) -> bool:
        """Whether one more call would harm the others."""
        return self.admissions.refuses(self._calls())

    def closed_meanwhile(self, session: ServedSession) -> bool:
        """Whether a client that waited for its turn to begin would harm the others by now. A telephone call
        was answered, and is not given up any more."""
        waited = session in self._address_of and self.admissions.closed
        return waited and self.admissions.refuses(self._calls() - 1)

    def too_many_of(self, address: str) -> bool:
        """Whether clients from there have as many sessions as one address may have."""
        most = self.settings.max_sessions_per_address
        return most is not None and sum(each == address for each in self._address_of.values()) >= most

    # --- who makes room -----------------------------------------------------------------------------------

    def make_room(self, promised: int = 0, address: str = "") -> bool:
        """Whether one more session can begin, for somebody from this address. If not, those make room that
        have begun nothing."""
        lacking = self.connections.lacking_for_call
        if lacking > 0:
            self.connections.make_room(address, lacking)
        missing = self._missing(promised)
        giving_way = self._giving_way(missing, address)
        if len(giving_way) < missing:
            return False
        for session in giving_way:
            self._leaving.add(session)
            log.info("a silent session makes room", silent=session.session_id)
            session.give_up("somebody else needs the line")
        return True

    def _missing(self, promised: int) -> int:
        """How many sessions must end before one more can begin; 0 or less: none."""
        missing = len(self.sessions - self._leaving) + promised + 1 - self.most
        return max(missing, 1 if self.connections.lacking_for_call > 0 else 0)

    def _giving_way(self, missing: int, address: str) -> list[ServedSession]:
        """The sessions that make so much room for somebody from this address, or fewer: those that have begun
        nothing for a while, and then always the oldest of where most of them came from."""
        late = trio.current_time() - SILENT_S
        silent = [each for each in self._running_since if not each.begun and each not in self._leaving]
        found = [each for each in silent if self._running_since[each] <= late][: max(0, missing)]
        crowds: dict[str, list[ServedSession]] = {}
        for session in silent:
            if session not in found and session in self._address_of:
                crowds.setdefault(self._address_of[session], []).append(session)
        own = len(crowds.get(address, ()))
        while len(found) < missing:
            crowd = max(crowds.values(), key=len, default=[])
            if len(crowd) < max(CROWD_OF_LINES, own + 2):
                break
            found.append(crowd.pop(0))
        return found

    def _end_newest(self, count: int) -> None:
        """End the calls that began last."""
        staying = [each for each in self._running_since if each not in self._leaving]
        newest = staying[max(0, len(staying) - count) :]
        self._leaving.update(newest)
        busy = SystemBusy(len(self.sessions), self.most)
        end_overloaded(newest, self.settings.admission_goodbye, busy)

    async def measure(self) -> None:
        """Measure the load, which decides about further calls, until cancelled."""
        if self.settings.admission_policy is None:
            return

        def report(load: Load) -> None:
            self.admissions.measured(load, self._calls())

        await measure_load(report, processors(), of_threads=not self.settings.embedded)
