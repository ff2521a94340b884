"""What words are: an echo of the answer, a backchannel, or the caller's own."""

from __future__ import annotations

import pytest

from machines.phrases import (
    BACKCHANNELS,
    backchannels_for,
    first_words,
    occurs_late,
    sounds_unfinished,
    without_backchannels,
    without_echo,
    words_of,
)

OFFER = "We have a table for two at seven, or one on the terrace at half past eight. Which would you like?"


# --- words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("?!  ...", ()),
        ("Hello, World!", ("hello", "world")),
        ("uh-huh", ("uh", "huh")),
        ("I’m sure it's John's", ("i'm", "sure", "it's", "john's")),
        ("Straße Über ÉTÉ", ("strasse", "über", "été")),
        ("at 7:30 p.m.", ("at", "7", "30", "p", "m")),
        ("snake_case 'quoted'", ("snake", "case", "quoted")),
    ],
)
def test_words_are_compared_without_capitals_and_punctuation(text: str, words: tuple[str, ...]) -> None:
    assert words_of(text) == words


# --- unfinished phrases -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["I would like to", "Monday, or", "my number is", "So, um", "first,", "well...", "I said to MY"]
)
def test_these_sound_unfinished(text: str) -> None:
    assert sounds_unfinished(text)


@pytest.mark.parametrize(
    "text", ["", "  ", "Hello", "Tell me a joke.", "What is that?", "Thank you!", "on Monday", "Come in."]
)
def test_these_do_not(text: str) -> None:
    assert not sounds_unfinished(text)


# --- echo -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "We have a table for two",
        "have a table for",
        "at half past eight, which would you like",
        "TERRACE at HALF past",
        "like",
        "which would",
    ],
)
def test_what_was_said_to_the_caller_comes_back_as_an_echo(text: str) -> None:
    assert without_echo(text, OFFER) == ()


@pytest.mark.parametrize("text", ["we have a cable for two", "on the terrace at half passed eight which"])
def test_an_echo_that_was_misheard_in_places_is_still_one(text: str) -> None:
    assert without_echo(text, OFFER) == ()


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("please stop", "please stop"),
        ("table", "table"),
        ("terrace", "terrace"),
        ("no I want", "no i want"),
        ("table for two on Friday please", "on friday please"),
        ("the terrace please", "please"),
        ("no not on the terrace", "no not"),
        ("eight two seven", "eight two seven"),
    ],
)
def test_what_the_caller_says_of_their_own_is_none(text: str, own: str) -> None:
    assert " ".join(without_echo(text, OFFER)) == own


def test_single_words_of_the_answer_are_the_callers_own_where_they_are_apart() -> None:
    assert without_echo("two people at eight", OFFER) == ("two", "people", "at", "eight")


def test_a_single_word_is_an_echo_only_of_what_was_said_last() -> None:
    assert without_echo("like", OFFER) == ()
    assert without_echo("table", OFFER) == ("table",)


def test_nothing_is_an_echo_before_anything_was_said() -> None:
    assert without_echo("hello there", "") == ("hello", "there")


def test_what_was_said_long_ago_is_no_echo() -> None:
    long_ago = "please stop here " + "and on it goes " * 10
    assert without_echo("please stop here", long_ago) == ("please", "stop", "here")


def test_repeated_words_are_compared_in_order() -> None:
    assert without_echo("go on go on", "go on") == ()
    assert without_echo("on go", "go on") == ("on", "go")


# --- backchannels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", BACKCHANNELS)
def test_each_of_these_is_a_backchannel(text: str) -> None:
    assert without_backchannels(words_of(text), BACKCHANNELS) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Uh-huh.",
        "uh huh",
        "Mm-hmm, yeah.",
        "Okay, okay, okay",
        "All right, I see, got it.",
        "oh yeah sure of course",
    ],
)
def test_so_are_several_of_them(text: str) -> None:
    assert without_backchannels(words_of(text), BACKCHANNELS) == ()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("yes but wait", "but wait"),
        ("okay stop", "stop"),
        ("huh", "huh"),
        ("of", "of"),
        ("course", "course"),
        ("I see a problem", "a problem"),
        ("all wrong", "all wrong"),
        ("go home", "go home"),
        ("I understand nothing", "nothing"),
        ("no", "no"),
    ],
)
def test_what_says_more_is_left(text: str, left: str) -> None:
    assert " ".join(without_backchannels(words_of(text), BACKCHANNELS)) == left


def test_an_operators_own_list_counts_as_it_is_written() -> None:
    own = ("Ja, genau", "ja", "", "—")
    assert without_backchannels(words_of("Ja genau ja"), own) == ()
    assert without_backchannels(words_of("genau"), own) == ("genau",)
    assert without_backchannels(words_of("yes"), ()) == ("yes",)


# --- other languages --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हम आज बंद हैं", ("हम", "आज", "बंद", "हैं")),
        ("您好，ok 3", ("您", "好", "ok", "3")),
        ("はい、そうです。", ("は", "い", "そ", "う", "で", "す")),
        ("ปิดหก", ("ปิ", "ด", "ห", "ก")),
        ("그래요 네", ("그래요", "네")),
        ("نعم، شكرًا", ("نعم", "شكرًا")),
    ],
)
def test_words_are_letters_with_their_marks_and_clusters_where_there_are_no_blanks(
    text: str, words: tuple[str, ...]
) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("language", "text"),
    [
        *(
            ("de-DE", "Ich möchte"),
            ("de", "einen Tisch für"),
            ("fr", "je voudrais"),
            ("es", "quiero una mesa para"),
        ),
        *(("it", "vorrei"), ("pt", "eu queria"), ("nl", "ik wil")),
        *(("pl", "chciałbym"), ("ru", "я хочу")),
        *(
            ("zh", "我想"),
            ("zh", "等等，"),
            ("ja", "明日は"),
            ("ko", "저는"),
            ("hi", "मुझे"),
            ("ar", "أريد"),
            ("ar", "نعم،"),
        ),
        *(("th", "ผมอยาก"), ("", "我想"), ("en", "मुझे"), ("zh", "那……")),
    ],
)
def test_these_sound_unfinished_in_their_language(language: str, text: str) -> None:
    assert sounds_unfinished(text, language)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        *(
            ("de", "Einen Tisch bitte"),
            ("de", "Ja."),
            ("fr", "demain matin"),
            ("zh", "好的"),
        ),
        *(
            ("zh", "六点。"),
            ("ja", "こんにちは"),
            ("hi", "ठीक है।"),
            ("ar", "شكرا"),
            ("th", "ขอบคุณครับ"),
            ("el", "ναι;"),
        ),
    ],
)
def test_these_do_not_in_theirs(language: str, text: str) -> None:
    assert not sounds_unfinished(text, language)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        *(
            ("de", "Ja, genau."),
            ("fr", "Ouais, d'accord."),
            ("es", "Sí, claro."),
            ("it", "Va bene"),
            ("pt", "Tá bom"),
        ),
        *(
            ("nl", "ja precies"),
            ("pl", "no tak"),
            ("tr", "evet, tamam"),
            ("ru", "Угу, понятно."),
            ("zh", "嗯嗯，好的。"),
        ),
        *(
            ("ja", "はい、そうですね"),
            ("ko", "네, 알겠습니다"),
            ("hi", "हाँ, ठीक है"),
            ("hi", "theek hai"),
            ("ar", "نعم، طيب"),
        ),
        *(("th", "ครับ"), ("en", "嗯嗯"), ("", "uh-huh")),
    ],
)
def test_each_language_has_its_backchannels(language: str, text: str) -> None:
    assert without_backchannels(words_of(text), backchannels_for(text, BACKCHANNELS, language)) == ()


def test_what_says_more_is_left_in_every_language() -> None:
    for language, text in (("de", "Ja, aber Dienstag"), ("zh", "好，但是我要七点"), ("ja", "はい、でも七時")):
        assert without_backchannels(words_of(text), backchannels_for(text, BACKCHANNELS, language))
    assert backchannels_for("genau", ("nur das",), "de") == ("nur das",)


def test_an_echo_is_known_in_scripts_without_blanks() -> None:
    said = "您好，我们今天下午六点关门。"
    assert without_echo("六点关门", said) == ()
    assert without_echo("下午六点，关门", said) == ()
    assert without_echo("我要订位", said) != ()
    assert occurs_late(words_of("六点"), said)


def test_the_first_words_of_a_text_are_counted_in_its_script() -> None:
    assert first_words("one two three", 2) == "one two "
    assert first_words("六点关门吧", 2) == "六点关门"
    assert first_words("one", 2) == "one"
