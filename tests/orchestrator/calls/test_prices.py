"""What things cost: by the operator's own list, by ours, and by that of language models."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from adapters.interfaces import Product
from orchestrator.calls.prices import OWN_LIST, Prices, PricesError, read_prices
from orchestrator.cli.main import main

NOW_MS = 1_790_000_000_000.0
NOVA = Product("deepgram", "nova-3")


def test_a_minute_of_speech_to_text_costs_what_the_list_says() -> None:
    found = Prices().micros(NOVA, "seconds", 60, NOW_MS)
    assert found is not None
    assert found[0] == pytest.approx(7700)
    assert found[1] == f"vantum {read_prices(OWN_LIST).date}"


def test_a_minute_that_has_begun_is_paid_for() -> None:
    prices = Prices()
    two = prices.micros(Product("twilio"), "seconds", 120, NOW_MS)
    assert prices.micros(Product("twilio"), "seconds", 60.5, NOW_MS) == two
    assert prices.micros(Product("twilio"), "seconds", 0, NOW_MS) == (0, two[1] if two else "")


def test_language_models_have_the_prices_of_genai_prices() -> None:
    prices, model = Prices(), Product("api.openai.com", "gpt-4o-mini")
    costs = [
        prices.micros(model, unit, 1_000_000, NOW_MS)
        for unit in ("input_tokens", "cached_tokens", "output_tokens")
    ]
    read, cached, written = (cost[0] if cost else 0 for cost in costs)
    assert 0 < cached < read < written
    assert all(cost is not None and cost[1].startswith("genai-prices ") for cost in costs)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_models_on_this_machine_cost_nothing(host: str) -> None:
    found = Prices().micros(Product(host, "llama3.2"), "output_tokens", 1000, NOW_MS)
    assert found is not None and found[0] == 0


@pytest.mark.parametrize(
    ("product", "unit"),
    [
        (Product("models.example", "gpt-4o-mini"), "input_tokens"),
        (Product("api.openai.com", "no such model"), "input_tokens"),
        (Product("", ""), "input_tokens"),
        (Product("a hosts own voice"), "characters"),
        (NOVA, "characters"),
    ],
)
def test_what_no_list_knows_has_no_price(product: Product, unit: str) -> None:
    assert Prices().micros(product, unit, 1000, NOW_MS) is None


def test_ones_own_prices_come_first(tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(
        'date = 2026-11-30\n[[prices]]\nvendor = "deepgram"\nunit = "seconds"\nusd = 0.12\nper = 60\n'
        '[[prices]]\nvendor = "api.openai.com"\nmodel = "gpt-4o-mini"\nunit = "output_tokens"\n'
        "usd = 1\nper = 1_000_000\n"
    )
    prices = Prices.of(file)
    assert prices.micros(NOVA, "seconds", 30, NOW_MS) == (60_000, "ours.toml 2026-11-30")
    model = Product("api.openai.com", "gpt-4o-mini")
    assert prices.micros(model, "output_tokens", 7, NOW_MS) == (7, "ours.toml 2026-11-30")
    others = prices.micros(Product("cartesia", "sonic-3"), "characters", 1000, NOW_MS)
    assert others is not None and others[1].startswith("vantum ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("date = ", "is not TOML"),
        ('date = 2026-11-30\nprices = "none"', "prices: "),
        ("prices = []", "date: Field required"),
        ('date = 2026-11-30\n[[prices]]\nvendor = "x"\nunit = "hours"\nusd = 1', "prices.0.unit: "),
        ('date = 2026-11-30\n[[prices]]\nvendor = "x"\nunit = "seconds"\nusd = -1', "prices.0.usd: "),
        ('date = 2026-11-30\n[[prices]]\nvendor = "x"\nunit = "seconds"\nusd = 1\nper = 0', "prices.0.per: "),
    ],
)
def test_a_file_that_is_no_list_of_prices_is_told(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(PricesError) as caught:
        read_prices(file)
    assert str(caught.value).startswith(str(file))
    assert told in str(caught.value)


def test_the_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRICES_FILE", str(tmp_path / "none.toml"))
    done = CliRunner().invoke(main, ["index", str(tmp_path)])
    assert done.exit_code == 2
    assert done.stderr == (
        f"Error: PRICES_FILE is '{tmp_path}/none.toml', but must be a list of prices: "
        f"{tmp_path}/none.toml cannot be read: No such file or directory.\n"
    )
