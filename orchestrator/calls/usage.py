"""What a call was used for and what it costs, by provider and unit; and how much of it nobody heard.

Nobody heard an answer that the caller forestalled, the rest of one that was cut off, and what was made in
advance and dropped. Of an answer of which something was heard, the question was worth its tokens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from attrs import Factory, define, frozen

from adapters.interfaces import Product
from machines import effects as do
from machines import facts
from machines.effects import Effect
from machines.facts import Fact, Role
from orchestrator.calls.prices import Prices, as_listed
from orchestrator.calls.values import text_of
from orchestrator.journal.format import Used

PHONE = "phone"
"""The role of whoever carries telephone calls."""
CARRIERS = frozenset(("twilio",))
"""Kinds of calls whose minutes are paid for, each by the carrier of that name."""
CHARACTERS, SECONDS = "characters", "seconds"


@frozen
class UsageRow:
    """A row of `usage`."""

    call_id: str
    role: str
    vendor: str
    model: str
    unit: str
    amount: float
    unheard: float
    estimated: float
    cost_micros: int | None
    unheard_micros: int | None
    price: str


@define
class _Amount:
    """How much of a unit was used; how much of that for nobody, and how much of it is estimated."""

    amount: float = 0.0
    unheard: float = 0.0
    estimated: float = 0.0

    def add(self, amount: float, unheard: float, *, estimated: bool = False) -> None:
        self.amount += amount
        self.unheard += amount * unheard
        self.estimated += amount * estimated


@define
class Usage:
    """Adds up what a call was used for."""

    products: Mapping[Role, tuple[Product, ...]]
    _used: list[Used] = Factory(list)
    _characters: list[tuple[int, int, int]] = Factory(list)
    """Texts for the voice: answer, place of the provider, characters."""
    _prepared: dict[tuple[int, int], str] = Factory(dict)
    """Texts that the voice was given in advance, by answer and segment."""
    _continues: dict[int, int] = Factory(dict)
    """Generations that went on with an answer that has another number."""
    _asked_tools: set[int] = Factory(set)
    """Generations that were for tool calls."""

    def note(self, used: Used) -> None:
        """Note a record of the journal."""
        self._used.append(used)

    def caused(self, effect: Effect, fact: Fact | None, voice: int) -> None:
        """Note what the conversation asked for because of a fact, with the voice's place in its chain."""
        match effect:
            case do.PrepareSpeech(generation=number, segment=segment, text=text):
                self._prepared[number, segment] = text
                self._characters.append((number, voice, len(text)))
            case do.Speak(generation=number, segment=segment, text=text, tones=False):
                if self._prepared.pop((number, segment), None) != text:
                    self._characters.append((number, voice, len(text)))
            case do.NotifySegment(generation=number) if isinstance(fact, facts.SegmentReady):
                self._continues[fact.generation] = number

    def happened(self, fact: Fact) -> None:
        """Note that a generation ended with tool calls."""
        if isinstance(fact, facts.GenerationFinished) and fact.calls:
            self._asked_tools.add(fact.generation)

    def rows(
        self,
        call_id: str,
        kind: str,
        began_at: float,
        lasted_ms: float,
        unheard: Mapping[int, float],
        prices: Prices,
    ) -> list[UsageRow]:
        """All of it with prices. `unheard` is by number of the answer the share that was said for nobody."""
        amounts: dict[tuple[str, Product, str], _Amount] = defaultdict(_Amount)
        for used in self._used:
            for unit, amount in used.amounts.items():
                share = self._wasted(used, unit, unheard)
                key = (used.role.value, self._product(used.role, used.provider), unit)
                amounts[key].add(amount, share, estimated=used.estimated)
        for number, voice, characters in self._characters:
            key = (Role.TTS.value, self._product(Role.TTS, voice), CHARACTERS)
            amounts[key].add(characters, unheard.get(number, 1.0))
        if kind in CARRIERS:
            amounts[PHONE, Product(kind), SECONDS].add(lasted_ms / 1000, 0.0)
        return [
            _row(call_id, role, product, unit, amount, prices, began_at)
            for (role, product, unit), amount in sorted(amounts.items(), key=lambda each: repr(each[0]))
        ]

    def _product(self, role: Role, place: int) -> Product:
        chain = self.products.get(role, ())
        return as_listed(chain[place]) if place < len(chain) else Product("")

    def _wasted(self, used: Used, unit: str, unheard: Mapping[int, float]) -> float:
        """The share of what was used for an answer that nobody heard."""
        if used.role is not Role.LLM or used.number in self._asked_tools:
            return 0.0
        share = unheard.get(self._continues.get(used.number, used.number), 1.0)
        return share if unit == "output_tokens" or share == 1.0 else 0.0


def _row(
    call_id: str,
    role: str,
    product: Product,
    unit: str,
    amount: _Amount,
    prices: Prices,
    began_at: float,
) -> UsageRow:
    cost = prices.micros(product, unit, amount.amount, began_at)
    share = amount.unheard / amount.amount if amount.amount else 0.0
    return UsageRow(
        call_id=call_id,
        role=role,
        vendor=text_of(product.vendor, 100),
        model=text_of(product.model, 100),
        unit=text_of(unit, 40),
        amount=amount.amount,
        unheard=amount.unheard,
        estimated=amount.estimated,
        cost_micros=None if cost is None else round(cost[0]),
        unheard_micros=None if cost is None else round(cost[0] * share),
        price="" if cost is None else text_of(cost[1], 100),
    )
