"""Settings of admission: how much load is too much for another call."""

from __future__ import annotations

from pydantic import BaseModel, Field

from machines.policy import AdmissionPolicy

DEFAULTS = AdmissionPolicy()
"""Where the settings take their defaults from."""


class CallAdmission(BaseModel):
    """When a server refuses calls that would harm the others, though it has lines free."""

    admission: bool = Field(
        default=True,
        description="Calls that would harm the others are refused: the event loop is late, the process busy",
    )
    admission_most_lag_ms: int = Field(
        default=int(DEFAULTS.most_lag_ms),
        ge=1,
        le=10_000,
        description="Lateness of the event loop from which no further call is taken, in ms",
    )
    admission_most_cpu_percent: int = Field(
        default=round(DEFAULTS.most_cpu * 100),
        ge=1,
        le=100,
        description="How busy a server may be that takes a further call, in percent of what it may use",
    )
    admission_goodbye: str = Field(
        default="I have to end this call now: too many people are calling. Please call again later. Goodbye.",
        description="Said to the newest calls if they must end, since they are too many; empty: they are hung"
        " up on",
    )

    @property
    def admission_policy(self) -> AdmissionPolicy | None:
        """The policy of the admission machine; None: it is off."""
        if not self.admission:
            return None
        late = max(DEFAULTS.late_lag_ms, self.admission_most_lag_ms * LATE)
        return AdmissionPolicy(
            most_lag_ms=self.admission_most_lag_ms,
            most_cpu=self.admission_most_cpu_percent / 100,
            late_lag_ms=late,
        )


LATE = DEFAULTS.late_lag_ms / DEFAULTS.most_lag_ms
"""An event loop that is later than it may be by this factor harms the calls that it has."""
