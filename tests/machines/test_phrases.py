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
        ("M", "m"),
        ("am", "am"),
        ("him", "him"),
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


HEARD = {
    "en-US": "Mhmm.|Mmm|M-hm|Yup|Aha|Huh|Mkay|O.K.|Okay, great.|Wow|Cool|Hmmmm|Yeahhh|mmhmm|Uh-huh, uh-huh",
    "de-DE": "Mm-hm.|mhmm|jaja|Jo|hmhm|Jaaa|ähm",
    "fr-FR": "Mm-hm.|mmh|Ouais ouais|Mouais|Hmm hmm",
    "es-ES": "Mm-hm.|Hmm|sip|Ajá, ajá|Ya ya",
    "it-IT": "Mm-hm.|Hmm|mh mh|Già|Sì, sì, sì.",
    "pt-BR": "Mm-hm.|Hum hum|Uhum, uhum|Pois",
    "nl-NL": "Mm-hm.|Hmm hmm.|Ja hoor",
    "pl-PL": "Mm-hm.|Yhm|No tak, tak",
    "tr-TR": "Mm-hm.|Hımm|hı-hı|evet evet",
    "ru-RU": "ммм|Так.|Мгм|угу-угу|Да-да-да",
    "hi-IN": "Mm-hm.|हूं|हम्म्म|जी जी",
    "ar-SA": "أوكي|ماشي|همم|آها|نعم نعم|حسنًا",
    "ko-KR": "네네네|응응|넵|음음|네 네 네",
    "ja-JP": "ふーん|へー|うーん|オッケー|ウン|はーい|OK",
    "th-TH": "ค่ะๆ|อืมๆ|ครับครับ",
    "zh-TW": "對|沒錯|對對對|嗯嗯|喔",
    "zh-CN": "好好好|嗯哼|OK。",
    "sv-SE": "Ja.|Just det.|Mm.",
    "da-DK": "Ja.|Nå.",
    "nb-NO": "Ja.|Nettopp.",
    "fi-FI": "Joo.|Niin.|Joo joo",
    "cs-CZ": "Ano.|Jo.|No jo",
    "sk-SK": "Áno.",
    "hu-HU": "Igen.|Jó.",
    "el-GR": "Ναι.|Ναι ναι|Μμ.",
    "uk-UA": "Угу.|Так.|Добре",
    "bg-BG": "Да.|Ясно",
    "ro-RO": "Da.|Bine",
    "hr-HR": "Da.|Dobro",
    "vi-VN": "Vâng.|Dạ|Ừm",
    "id-ID": "Iya.|He-eh|Baik",
    "he-IL": "כן.|אהה|ממ",
    "fa-IR": "بله|آره",
    "multi": "Oui.|Sí.|Ja.|Mm-hm.|はい|Да|हाँ",
}
"""What listeners say, as speech to text writes it."""


@pytest.mark.parametrize(
    ("language", "text"), [(language, each) for language, texts in HEARD.items() for each in texts.split("|")]
)
def test_however_it_is_spelled_a_listeners_sound_is_one(language: str, text: str) -> None:
    assert without_backchannels(words_of(text), backchannels_for(text, BACKCHANNELS, language)) == ()


@pytest.mark.parametrize(
    ("language", "text"),
    [
        *(("en", "No, no, no"), ("en", "him"), ("en", "M")),
        *(("en", "Mama"), ("en", "stop"), ("en", "ham")),
        *(
            ("de", "Nein"),
            ("de", "Ham"),
            ("ja", "いえ"),
            ("ja", "ううんちがう"),
            ("zh", "对不起"),
            ("zh", "不是"),
        ),
        *(("ko", "아니요"), ("ru", "нет"), ("ar", "هم")),
        *(("hi", "हम"), ("multi", "No"), ("multi", "Nein")),
        *(("fi", "Ei"), ("el", "Όχι"), ("uk", "Ні")),
        *(("id", "Tidak"), ("vi", "Không"), ("xx", "nope")),
    ],
)
def test_refusals_and_words_that_resemble_a_sound_are_none(language: str, text: str) -> None:
    assert without_backchannels(words_of(text), backchannels_for(text, BACKCHANNELS, language))


COMPLETE = {
    "ja-JP": "3時に|カードで|東京で|私も|窓側を|いいと思うけど",
    "ko-KR": "김지은|가을|서울에서|괜찮은데|좋은",
    "zh-CN": "暖和|我要这个|这把|就是那个|棉被",
    "th-TH": "ใช่ครับ|ไม่อยาก|สถานที่",
    "en-US": (
        "Yes I do|Come on|plan a|thank you|That's what I like|"
        "Where is it|I think so|not very|Yes we are|Me also"
    ),
    "de-DE": (
        "Das ist es|Ja bitte sehr|Ruf mich an|Ja ich will|Das geht auch|Ich bin dafür|noch einen|eine|"
        "Wer ist sie|das ist so"
    ),
    "fr-FR": "Moi aussi|Oui je veux|Je le suis|avec vous|C'est elle",
    "es-ES": "A la una|Una|Yo también|Soy yo|Así es|Sí quiero",
    "it-IT": "Sono io|Anche|Sì voglio",
    "pt-BR": "Só um|Um|Eu também|Posso",
    "nl-NL": "nummer een|Ik ook|Dat is het",
    "pl-PL": "To ja|Tak jestem",
    "tr-TR": "Ben de|Evet ben",
    "ru-RU": "Это я|Да хочу|Только у нас|А что",
    "hi-IN": "मेरा भी|शाम को",
    "ar-SA": "نعم أنا|شكرا جدا",
}
GOING_ON = {
    "en-US": "my name is|I would like to|the total would|a table for|on Monday and",
    "de-DE": "mein Name ist|Ich möchte einen|Ich möchte|einen Tisch für|am Montag und",
    "fr-FR": "mon nom est|une table pour",
    "es-ES": "mi nombre es|una mesa para",
    "it-IT": "il mio nome è|vorrei",
    "pt-BR": "o meu nome é|eu queria",
    "nl-NL": "mijn naam is|een tafel voor",
    "ja-JP": "明日は|えっと",
    "ko-KR": "저는|제 이름은 김지은이지만",
    "zh-CN": "我想|因为",
    "th-TH": "ผมอยาก",
    "ru-RU": "я хочу|столик на",
    "sv-SE": "jag vill",
    "multi": "ich möchte|I would like to",
}


@pytest.mark.parametrize(
    ("language", "text"), [(tag, each) for tag, texts in COMPLETE.items() for each in texts.split("|")]
)
def test_an_answer_that_may_be_complete_does_not_sound_unfinished(language: str, text: str) -> None:
    assert not sounds_unfinished(text, language)


@pytest.mark.parametrize(
    ("language", "text"), [(tag, each) for tag, texts in GOING_ON.items() for each in texts.split("|")]
)
def test_an_ending_that_hardly_ever_ends_an_utterance_does(language: str, text: str) -> None:
    assert sounds_unfinished(text, language)
