"""`.ci/install.py`: what is told when the packages cannot be installed."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def install() -> dict[str, Any]:
    """The names of the program, without running it."""
    return runpy.run_path(str(Path(__file__).parents[1] / ".ci" / "install.py"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(\"<pip._vendor"
            ".urllib3>: Failed to establish a new connection: [Errno -3] Temporary failure in name "
            "resolution\")'\n"
            "ERROR: Could not find a version that satisfies the requirement attrs==25.4\n"
            "ERROR: No matching distribution found for attrs==25.4\n",
            "The package registry cannot be reached: is there a network?",
        ),
        (
            "ReadTimeoutError(\"HTTPSConnectionPool(host='x', port=443)\")",
            "The package registry cannot be reached",
        ),
        (
            "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify "
            "failed'))\n"
            "ERROR: No matching distribution found for attrs==25.4\n",
            "The package registry's certificate is not trusted",
        ),
        (
            "WARNING: Retrying after connection broken by 'ProxyError('Cannot connect to proxy.', "
            "NewConnectionError('[Errno 111] Connection refused'))'\n",
            "The proxy of HTTPS_PROXY or ALL_PROXY cannot be used",
        ),
        (
            "ERROR: Could not install packages due to an OSError: Missing dependencies for SOCKS support.\n",
            "The proxy of HTTPS_PROXY or ALL_PROXY cannot be used",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
            "The disk is full",
        ),
        (
            "ERROR: No matching distribution found for onnxruntime==1.32.0\n",
            "A package has no build for this machine",
        ),
        ("ERROR: something new\n", "pip failed (all it said is in install.log):"),
    ],
)
def test_why_packages_cannot_be_installed_is_told_before_pips_words(
    said: str, told: str, install: dict[str, Any]
) -> None:
    lines = install["failure"](said, "install.log").splitlines()
    assert lines[0] == ""
    assert lines[1].startswith(told)
    assert [line for line in said.splitlines() if line.startswith("ERROR")] == [
        line for line in lines if line.startswith("ERROR")
    ]


def test_a_machine_without_builds_is_told_before_pip_is_asked(install: dict[str, Any]) -> None:
    assert "Intel" in install["unsupported"]("Darwin", "x86_64")
    for system, machine in (("Darwin", "arm64"), ("Linux", "x86_64"), ("Linux", "aarch64")):
        assert install["unsupported"](system, machine) == ""
