"""What a language's pack holds."""

from __future__ import annotations

from attrs import frozen


def words(text: str) -> frozenset[str]:
    """Divide at blanks."""
    return frozenset(text.split())


def phrases(text: str) -> tuple[str, ...]:
    """Divide at commas; a phrase has one word or more."""
    return tuple(text.split(", "))


@frozen
class Pack:
    """One language. All words are in lower case, as they are compared."""

    code: str

    # What is said.
    abbreviations: frozenset[str] = frozenset()
    """Abbreviations: the stop after them does not end a sentence."""
    ending_abbreviations: frozenset[str] = frozenset()
    """Abbreviations that do end a sentence before a capital letter."""
    before_numbers: frozenset[str] = frozenset()
    """Abbreviations only before a number ("No. 5", "Sat. 3")."""
    abbreviation_suffixes: tuple[str, ...] = ()
    """A word with one of these endings is an abbreviation before a number ("Hauptstr. 5")."""
    ordinals: bool = False
    """A number with a stop may be an ordinal ("5." is "fifth"), a Roman one too."""
    before_ordinals: frozenset[str] = frozenset()
    """After these such a number is an ordinal even if a capital letter follows ("der 2. Weltkrieg")."""
    after_ordinals: frozenset[str] = frozenset()
    """What follows a number or a time with a stop within a sentence ("am 5. Mai", "5 p.m. Eastern")."""
    starters: frozenset[str] = frozenset()
    """Words that begin a sentence, as far as names and nouns do not."""
    capital_nouns: bool = False
    """All nouns are written with a capital letter: it does not tell a name, or the begin of a sentence."""
    before_addresses: frozenset[str] = frozenset()
    """Words that an address follows ("visit", "at")."""
    conjunctions: frozenset[str] = frozenset()
    """A sentence that is too long is cut before one of these."""
    finals: tuple[str, ...] = ()
    """Particles that end a sentence if a blank follows."""

    # What is heard. Speech to text often writes no stop, so an ending counts as unfinished only if it hardly
    # ever ends an utterance.
    going_on: frozenset[str] = frozenset()
    """Words that an utterance hardly ever ends with."""
    mostly_going_on: frozenset[str] = frozenset()
    """Verbs and articles that it hardly ever ends with unless they are all of it, or follow `ends_after`: "my
    name is", but "it is"; "ich möchte einen", but "noch einen"."""
    ends_after: frozenset[str] = frozenset()
    """The words after which such a word may be the last one."""
    complete: tuple[str, ...] = ()
    """Endings of two words or more that are complete although the last word is in `going_on`."""
    going_on_suffixes: tuple[str, ...] = ()
    """The same as `going_on` for scripts without blanks and for endings of words."""
    complete_suffixes: tuple[str, ...] = ()
    """The same as `complete` for them."""
    backchannels: tuple[str, ...] = ()
    """What listeners say to show that they listen. Sounds that are not words are in `listening.py`."""
    numbers: frozenset[str] = frozenset()
    """The digits as words: one may be said again and again."""
