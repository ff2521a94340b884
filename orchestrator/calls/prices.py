"""What a unit costs: by the operator's list, by ours, and for language models by the package genai-prices."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import cache, cached_property, lru_cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.interfaces import Product
from orchestrator.addresses import is_loopback
from orchestrator.journal.frames import version_of

THIS_MACHINE = "this machine"
"""The vendor of models that a server on this machine runs."""
OWN_LIST = Path(__file__).with_name("prices.toml")
_MICROS = 1_000_000
"""In a dollar."""

Unit = Literal["input_tokens", "cached_tokens", "output_tokens", "characters", "seconds"]


class PricesError(ValueError):
    """A list of prices cannot be used. The text is one sentence."""


class _Entry(BaseModel):
    """A price."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vendor: Annotated[str, Field(min_length=1)]
    model: str | None = None
    unit: Unit
    usd: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    per: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1
    started: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0

    def micros(self, amount: float) -> float:
        paid = math.ceil(amount / self.started) * self.started if self.started else amount
        return paid * self.usd * (_MICROS / self.per)


class PriceList(BaseModel):
    """A list of prices, as its file has it."""

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))

    date: date
    """When its prices were those that are asked."""
    prices: tuple[_Entry, ...]

    @cached_property
    def _found(self) -> dict[tuple[str, str | None, str], _Entry]:
        return {(each.vendor, each.model, each.unit): each for each in self.prices}

    def entry(self, product: Product, unit: str) -> _Entry | None:
        """The price of a product: of its model, or of all models of its vendor."""
        return self._found.get((product.vendor, product.model, unit)) or self._found.get(
            (product.vendor, None, unit)
        )


def read_prices(path: Path) -> PriceList:
    """The list of prices in a TOML file. Raises `PricesError`."""
    try:
        return PriceList.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise PricesError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise PricesError(f"{path} is no list of prices: {place}: {first['msg']}") from None
    except ValueError as error:
        raise PricesError(f"{path} is not TOML: {error}") from None


@cache
def _own_list() -> PriceList:
    return read_prices(OWN_LIST)


class Prices:
    """Prices, of lists in this order: those given, our own, genai-prices."""

    def __init__(self, lists: Sequence[tuple[str, PriceList]] = ()) -> None:
        self._lists = (*lists, ("vantum", _own_list()))

    @classmethod
    def of(cls, file: Path | None) -> Prices:
        """With the prices in the operator's file first. Raises `PricesError`."""
        return cls([] if file is None else [(file.name, read_prices(file))])

    def load(self) -> None:
        """Load what takes a tenth of a second. It blocks."""
        import_module("genai_prices")

    def micros(self, product: Product, unit: str, amount: float, at_ms: float) -> tuple[float, str] | None:
        """What so much costs, in millionths of a dollar, and by which list; None if no list knows it.

        `at_ms` is when it was used, in ms since the epoch.
        """
        product = as_listed(product)
        for name, each in self._lists:
            if (entry := each.entry(product, unit)) is not None:
                return entry.micros(amount), f"{name} {each.date}"
        return _of_model(product, unit, amount, at_ms) if unit.endswith("_tokens") else None


def as_listed(product: Product) -> Product:
    """The product as lists name it: the hosts of this machine are one."""
    return Product(THIS_MACHINE, product.model) if is_loopback(product.vendor) else product


def _of_model(product: Product, unit: str, amount: float, at_ms: float) -> tuple[float, str] | None:
    """By genai-prices, which knows vendors of language models by the addresses of their servers."""
    price = _price_of_a_token(product, unit, int(at_ms // 86_400_000))
    return None if price is None else (price * amount, f"genai-prices {version_of('genai-prices')}")


@lru_cache(maxsize=4096)
def _price_of_a_token(product: Product, unit: str, day: int) -> float | None:
    """In millionths of a dollar, on a day since the epoch."""
    from genai_prices import Usage, calc_price

    count = 1000
    usage = {
        "input_tokens": Usage(input_tokens=count),
        "cached_tokens": Usage(input_tokens=count, cache_read_tokens=count),
        "output_tokens": Usage(output_tokens=count),
    }[unit]
    try:
        found = calc_price(
            usage,
            product.model,
            provider_api_url=f"https://{product.vendor}",
            genai_request_timestamp=datetime.fromtimestamp(day * 86_400, UTC),
        )
    except (LookupError, ValueError, OverflowError, OSError):
        return None
    return float(found.total_price) * _MICROS / count
