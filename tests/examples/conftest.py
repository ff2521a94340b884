"""Fixtures: the embedded models, for the examples that use them."""

from tests.adapters.conftest import models_dir, speech

__all__ = ["models_dir", "speech"]
