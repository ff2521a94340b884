"""`vantum bench`: runs the benchmark of a checkout, which is no part of the package."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli.commands.benchmarks import CALIBRATION, CHECKOUT, LOAD, run_program
from orchestrator.cli.commands.usage import Complaint
from orchestrator.cli.main import main

PROGRAM = Path("benchmarks/some.py")


def test_the_benchmarks_that_it_runs_are_in_the_checkout() -> None:
    assert all((CHECKOUT / each).is_file() for each in (LOAD, CALIBRATION))


def test_a_program_gets_its_options_and_its_exit_code_is_ours(tmp_path: Path) -> None:
    (tmp_path / PROGRAM).parent.mkdir()
    (tmp_path / PROGRAM).write_text("import sys; sys.exit(len(sys.argv))")
    assert run_program(tmp_path, PROGRAM, ("--seconds", "5")) == 3


def test_an_installed_package_says_that_the_benchmark_is_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(Complaint) as complaint:
        run_program(tmp_path, CALIBRATION, ())
    assert str(complaint.value) == (
        "The benchmark is not here: benchmarks/calibrate.py is part of a checkout, not of the package."
    )


def test_the_help_says_what_calibrating_does() -> None:
    shown = CliRunner().invoke(main, ["bench", "--help"])
    assert shown.exit_code == 0
    assert "propose" in shown.output
    assert "MAX_SESSIONS" in shown.output
