"""How many calls embedded models can serve follows from the processors that there are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.settings import processors as module
from orchestrator.settings.processors import calls_that_fit, processors
from orchestrator.settings.settings import Settings
from orchestrator.settings.sources import load_settings

MANY = set(range(64))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file system without control groups, on a machine with 64 processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: MANY, raising=False)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "ascii")


def test_without_a_quota_every_processor_counts(root: Path) -> None:
    assert processors(root) == 64
    write(root / "sys/fs/cgroup/cpu.max", "max 100000\n")
    assert processors(root) == 64


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"sys/fs/cgroup/cpu.max": "50000 100000"}, 0.5),
        (
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            3,
        ),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 64),
        (
            {
                "proc/self/cgroup": "0::/system.slice/vantum.service\n",
                "sys/fs/cgroup/system.slice/vantum.service/cpu.max": "max 100000",
                "sys/fs/cgroup/system.slice/cpu.max": "150000 100000",
            },
            1.5,
        ),
        ({"sys/fs/cgroup/cpu.max": "rubbish"}, 64),
        ({"sys/fs/cgroup/cpu.max": "100000 0"}, 64),
        ({"proc/self/cgroup": ""}, 64),
    ],
)
def test_the_quota_of_a_container_or_service_counts(
    files: dict[str, str], expected: float, root: Path
) -> None:
    for name, text in files.items():
        write(root / name, text)
    assert processors(root) == expected


@pytest.mark.parametrize(("quota", "calls"), [("50000", 1), ("100000", 1), ("200000", 3), ("800000", 12)])
def test_as_many_calls_are_taken_as_fit(quota: str, calls: int, root: Path) -> None:
    write(root / "sys/fs/cgroup/cpu.max", f"{quota} 100000")
    assert calls_that_fit(root) == calls


def test_the_limit_of_local_calls_is_found_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "processors", lambda root: 2.0)
    assert Settings().local_max_calls == 3
    assert Settings(local_max_calls=8).local_max_calls == 8
    monkeypatch.setenv("LOCAL_MAX_CALLS", "auto")
    assert load_settings().local_max_calls == 3
    monkeypatch.setenv("LOCAL_MAX_CALLS", "5")
    assert load_settings().local_max_calls == 5


def test_a_machine_with_very_many_processors_has_the_highest_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "processors", lambda root: 512.0)
    assert Settings().local_max_calls == 64
