"""Cutting generated text into speakable segments."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machines.language.markup.reader import tokens_of
from machines.language.markup.texts import shown
from machines.segments import MAX_SEGMENT, Segment, Segmenter

Tracer = Callable[[FrameType, str, Any], Any]


def segments(text: str, size: int = 3, language: str = "en-US") -> list[str]:
    """All segments of `text` when it arrives in pieces of `size` characters."""
    segmenter = Segmenter(language)
    found: list[str] = []
    for start in range(0, len(text), size):
        found += spoken(segmenter.push(text[start : start + size]))
    return found + spoken(segmenter.finish())


def spoken(found: list[Segment]) -> list[str]:
    """What is spoken of segments."""
    return [segment.text for segment in found]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ("Dr. Smith is in. Sit down.", ["Dr. Smith is in.", "Sit down."]),
        ("It costs 3.50 euros. Fine.", ["It costs 3.50 euros.", "Fine."]),
        ("We open at 9 a.m. on Monday. Bye.", ["We open at 9 a.m. on Monday.", "Bye."]),
        ("We open at 9 a.m. Come in.", ["We open at 9 a.m.", "Come in."]),
        ("J. K. Rowling wrote it. Yes.", ["J. K. Rowling wrote it.", "Yes."]),
        ('"Stop!" he said. I did.', ['"Stop!"', "he said.", "I did."]),
        ("First part||BREAK||second part", ["First part", "second part"]),
        ("Well... maybe. Or not.", ["Well...", "maybe.", "Or not."]),
        ("<emotion value='happy'/>Hi **there**.", ["Hi there."]),
        ("", []),
    ],
)
def test_text_is_cut_at_sentences_however_it_arrives(text: str, expected: list[str], size: int) -> None:
    assert segments(text, size) == expected


@pytest.mark.parametrize(
    ("text", "said_at_once"),
    [
        ("It is noon.", "It is noon."),
        ("Really?", "Really?"),
        ('He said "wait."', 'He said "wait."'),
        ("Wir schließen gleich.", "Wir schließen gleich."),
        ("It is noon. ", "It is noon."),
        ("Please see Dr.", ""),
        ("It costs 3.", ""),
        ("J.", ""),
        ("Well...", ""),
        ("My address is john", ""),
        ("We are at example.com", ""),
        ("My code is <spell>AB.", ""),
        ("```python\nprint(1).", ""),
        ("It is **noon.", "It is noon."),
    ],
)
def test_a_sentence_that_has_surely_ended_is_said_when_the_model_pauses(text: str, said_at_once: str) -> None:
    segmenter = Segmenter("en-US")
    found = [*segmenter.push(text), *segmenter.pause()]
    assert " ".join(spoken(found)) == said_at_once


@pytest.mark.parametrize("text", ["It is noon.", "Please see Dr.", "My address is john", "Well..."])
def test_a_pause_loses_and_repeats_nothing(text: str) -> None:
    segmenter = Segmenter("en-US")
    found = spoken(segmenter.push(text)) + spoken(segmenter.pause()) + spoken(segmenter.pause())
    found += spoken(segmenter.push(" Smith comes. Then")) + spoken(segmenter.finish())
    assert " ".join(found) == f"{text} Smith comes. Then"


def test_only_the_first_segment_may_end_at_a_clause() -> None:
    text = "Well, that is a really good question, and I think, after all, it is seven. Now, then, so, yes."

    assert segments(text) == [
        "Well, that is a really good question,",
        "and I think, after all, it is seven.",
        "Now, then, so, yes.",
    ]


def test_a_sentence_is_given_before_the_next_one_is_complete() -> None:
    segmenter = Segmenter()

    assert spoken(segmenter.push("It is noon. And ")) == ["It is noon."]


def test_speech_markup_is_kept_beside_the_words_and_other_markup_is_not() -> None:
    segmenter = Segmenter()
    text = '<emotion value="glad"/>**Hello** <b>there</b>. Bye.'

    assert [*segmenter.push(text), *segmenter.finish()] == [
        Segment("Hello there.", '<emotion value="glad"/> Hello there.'),
        Segment("Bye."),
    ]


@pytest.mark.parametrize("half", ["|", "||", "||B", "||BRE", "||BREAK", "||BREAK||"])
def test_half_a_break_marker_is_never_spoken(half: str) -> None:
    assert segments(f"Hello there {half}") == ["Hello there"]


# --- scripts and languages --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("", "您好，我们下午六点关门。请问您几点过来？", ["您好，我们下午六点关门。", "请问您几点过来？"]),
        ("zh", "他说：“等一下。”然后走了。“再见！”", ["他说：“等一下。”", "然后走了。", "“再见！”"]),
        ("ja", "「待って。」と言った。３．１４です。", ["「待って。」", "と言った。", "３．１４です。"]),
        ("zh", "真的吗?!是的.你好,王先生.Windows 10.5吗?好", [
            "真的吗?!", "是的.", "你好,王先生.Windows 10.5吗?", "好",
        ]),
        ("ja", "はい,わかりました.では3.5度です!ね", ["はい,わかりました.", "では3.5度です!", "ね"]),
        ("ja", "本日は６時に閉まります。何時に？", ["本日は６時に閉まります。", "何時に？"]),
        ("hi", "हम आज छह बजे बंद होते हैं। आप कब आएंगे?", ["हम आज छह बजे बंद होते हैं।", "आप कब आएंगे?"]),
        ("ar", "متى ستأتي؟ شكرا لك.", ["متى ستأتي؟", "شكرا لك."]),
        ("ur", "ہم بند ہیں۔ آپ کب آئیں گے؟", ["ہم بند ہیں۔", "آپ کب آئیں گے؟"]),
        ("th", "เราปิดหกโมงเย็นค่ะ คุณจะมากี่โมงคะ", ["เราปิดหกโมงเย็นค่ะ", "คุณจะมากี่โมงคะ"]),
        ("el", "Πότε θα έρθετε; Κλείνουμε.", ["Πότε θα έρθετε;", "Κλείνουμε."]),
        ("hy", "Մենք փակ ենք։ Երբ կգաք։", ["Մենք փակ ենք։", "Երբ կգաք։"]),
        ("am", "ዛሬ ዝግ ነው። መቼ ይመጣሉ፧", ["ዛሬ ዝግ ነው።", "መቼ ይመጣሉ፧"]),
        ("de-DE", "Frau Dr. Müller kommt ca. um 5. Gut.", ["Frau Dr. Müller kommt ca. um 5.", "Gut."]),
        ("de", "Am 5. Mai, z.B. um 3. Ja.", ["Am 5. Mai, z.B. um 3.", "Ja."]),
        ("de", "„Halt.“ Dann ging er.", ["„Halt.“", "Dann ging er."]),
        ("fr", "Il dit « Attendez. » Puis M. Dupont part.", ["Il dit « Attendez. »", "Puis M. Dupont part."]),
        ("es", "El Sr. López viene. Bien.", ["El Sr. López viene.", "Bien."]),
        ("ru", "Это ул. Ленина. Да.", ["Это ул. Ленина.", "Да."]),
        ("sv", "Det är ca. fem kronor. Bra.", ["Det är ca. fem kronor.", "Bra."]),
        ("en", "It is on the 12. Please come.", ["It is on the 12.", "Please come."]),
        ("en", "1. One thing\n2. Another", ["1. One thing", "2. Another"]),
        ("en", "See p. 12 for it. Fine.", ["See p. 12 for it.", "Fine."]),
        ("en", 'He said "wait." Then he left.', ['He said "wait."', "Then he left."]),
        ("en", "Bold **wait.** Then _stop._ Now.", ["Bold wait.", "Then stop.", "Now."]),
        ("en", "It is noon.Then it is one.", ["It is noon.", "Then it is one."]),
        ("en", "Roses are red,\nviolets are blue", ["Roses are red, violets are blue"]),
        ("en", "# Title\nText\n\nMore", ["Title", "Text", "More"]),
        ("en", "In China they say 谢谢。 It is easy.", ["In China they say 谢谢。", "It is easy."]),
        ("en", "Hi||break||there", ["Hi", "there"]),
        ("en", "Visit https://example.com/a_b?x=1.2&y=2#top now. Ok.", [
            "Visit https://example.com/a_b?x=1.2&y=2#top now.", "Ok.",
        ]),
    ],
)  # fmt: skip
def test_text_is_cut_where_a_speaker_of_its_language_would_breathe(
    language: str, text: str, expected: list[str], size: int
) -> None:
    assert segments(text, size, language) == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Your address is john_smith@example.com.", "Your address is john_smith@example.com."),
        ("If x < 5 and y > 3 stop.", "If x < 5 and y > 3 stop."),
        ("if a<b then stop", "if a<b then stop"),
        ("Press *69, # or *.", "Press *69, # or *."),
        ("C# and ticket #4711", "C# and ticket #4711"),
        ("- 5 degrees", "- 5 degrees"),
        ("See [our site](https://example.com/a) now.", "See our site now."),
        ("~~old~~ new", "old new"),
        ("It is so【4†source】 and true [1].", "It is so and true."),
        ("so\u00adft hel\u200blo\ufeff", "soft hello"),
        ("A &amp; B &lt;3", "A & B <3"),
        (r"\( x^2 \) and $$y$$", "x^2 and y"),
        ("See you 👨‍👩‍👧 soon 1️⃣.", "See you 👨‍👩‍👧 soon 1."),
        ("这是**重要**的", "这是重要的"),
        ("| a | b |\n|---|:-:|", "a, b"),
        ("```python\nprint(1)\n```", "print(1)"),
        ("Look ────┤ here", "Look here"),
        *(
            (kept, kept)
            for kept in (
                "Dial *#06# now.",
                "Dial *100# or *#31# now.",
                "Your user name is _smith.",
                "Write to _john@example.com or _x_@y.example please.",
                "Type snake_case_name_ now.",
                "A 4* and a 5* hotel",
                "Replace <name> with yours.",
                "A List<String> and a vector<int>",
                "Set x[0] to a[1].",
                "Choose yes|no.",
            )
        ),
        (
            "Use _emphasis_, *stars*, *5 stars* and *un*believable.",
            "Use emphasis, stars, 5 stars and unbelievable.",
        ),
        ("So *wait, now* or _go on._", "So wait, now or go on."),
        ("This is <em>it</em> so[2].", "This is it so."),
        ("<answer>It is noon.</answer>", "It is noon."),
        ("Let me ask <query>news in Oslo</query> now.", "Let me ask news in Oslo now."),
        ('See [our site][1] and [it][].\n\n[1]: https://example.com/a_b "Us"\n', "See our site and it."),
        (r"It is $A = \pi r^{2}$, \(\frac{1}{2} \times x\) and $x$.", "It is A = π r^2, 1/2 × x and x."),
        (r"$\sqrt{16}$ is \textbf{four}, a 5\% share.", "√16 is four, a 5% share."),
        *(
            (kept, kept)
            for kept in (
                "It costs $5 and $6, or US$7 and A$8.",
                "Buy $AAPL, or $GOOG.",
                r"Look into C:\times\new and C:\Users.",
                "Is x <= 3, y >= 4 and z == 5?",
                "Go A -> B → C, and 5->6.",
                "Wait -- what - 5 - 3 = 2?",
                "Write [laughs] or [a]: so.",
            )
        ),
    ],
)
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_marks_are_markup_only_where_they_mark_up(text: str, shown: str, size: int) -> None:
    assert segments(text, size) == [shown]


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("So it is[^1].\n\n[^1]: Says the clock.", ["So it is.", "Says the clock."]),
        (r"It is noon.\nHow are you?\n\n- Fine", ["It is noon.", "How are you?", "Fine"]),
    ],
)
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_notes_and_ends_of_lines_that_are_written_out_are_none(text: str, cut: list[str], size: int) -> None:
    assert segments(text, size) == cut


def test_code_of_several_lines_and_rules_are_not_said() -> None:
    assert segments("Look:\n```python\nx = 1\ny = 2\n```\n---\nDone.") == ["Look:", "Done."]


def test_an_answer_with_nothing_to_say_is_one_segment_without_sound() -> None:
    assert segments("👍") == ["👍"]
    assert segments(" ... ") == ["..."]
    assert segments(" \n ") == []
    assert segments("Fine. 👍") == ["Fine."]


def test_speech_markup_is_never_cut_within() -> None:
    segmenter = Segmenter()
    text = "My code is <spell>AB. CD</spell>. Fine."

    assert [*segmenter.push(text), *segmenter.finish()] == [
        Segment("My code is AB. CD.", "My code is <spell>AB. CD</spell>."),
        Segment("Fine."),
    ]


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("word " * 40 + "(so it is) " + "word " * 30, "(so it is)"),
        ("word " * 40 + "- " + "word " * 30, "-"),
        ("word " * 40 + "and then " + "word " * 30, "word"),
        ("六点关门" * 20 + "，" + "六点关门" * 20, "，"),
    ],
)
def test_a_long_sentence_is_cut_where_it_hurts_least(text: str, end: str) -> None:
    first, second = segments(text)
    assert first.endswith(end)
    assert "and" not in text or second.startswith("and then")


# --- any text ---------------------------------------------------------------------------------------------

PIECES = st.lists(
    st.sampled_from(
        [
            *("Hello", "wait", "Dr", "e.g", "3", "12", "I", "john_smith@example.com", "https://a.b/c_d?e=1"),
            *(".", "!", "?", ",", ";", ":", "…", '"', "'", "”", "“", "«", "»", "(", ")", "-", "–", "|", "||"),
            *(" ", " ", " ", "\n", "\n\n", "*", "**", "_", "`", "```", "~~", "#", "## ", "> ", "- ", "1. "),
            *("<", ">", "<b>", "</b>", "<spell>", "</spell>", '<emotion value="glad"/>', "<a href=", "&amp;"),
            *("||BREAK||", "[1]", "[a](b)", "![x](y)", "[", "]", "【4†s】", "【", "\\(", "$$", "\\", "&"),
            *(
                "您好",
                "。",
                "，",
                "「",
                "」",
                "はい",
                "हैं",
                "।",
                "ค่ะ",
                "โมง",
                "؟",
                "نعم",
                "👍🏽",
                "👨‍👩‍👧",
                "1️⃣",
                "\u00ad",
            ),
        ]
    ),
    max_size=60,
).map("".join)


@pytest.mark.slow
@given(PIECES, st.integers(1, 9))
@settings(max_examples=300)
def test_however_a_text_is_divided_its_segments_are_the_same(text: str, size: int) -> None:
    assert segments(text, size) == segments(text, 10_000)


@given(st.text(alphabet="ab1 .,!?|BREAK<>*\n\"'", max_size=900), st.integers(1, 50))
def test_nothing_is_lost_or_said_twice_and_segments_are_bounded(text: str, size: int) -> None:
    found = segments(text, size)
    sounds = [letter for letter in shown(tokens_of(text)) if letter.isalnum()]
    assert [letter for segment in found for letter in segment if letter.isalnum()] == sounds
    assert all(len(segment) <= MAX_SEGMENT for segment in found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        *(
            "\n",
            " ",
            "a",
            "*",
            "`",
            "[",
            "<a ",
            "| ",
            "&a",
            "> ",
            "- ",
            "👍",
            ".",
            ", ",
            "http://a.",
            "```x\n",
        ),
        *("1. ", "六点", "โมง ", "[a](", '<a b="c" ', "<spell>a", "a \n", "»", "Hello there, my friend. "),
    ],
)
def test_twice_the_text_is_twice_the_work(unit: str) -> None:
    once, twice = (_steps((unit * length)[:length]) for length in (1500, 3000))
    assert twice <= 2.5 * once + 1000


def _steps(text: str) -> int:
    """How many lines are run to cut a text, that comes at once, and character by character."""
    steps = 0

    def count(frame: FrameType, event: str, argument: object) -> Tracer:
        nonlocal steps
        steps += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        segments(text, len(text))
        segments(text, 1)
    finally:
        sys.settrace(before)
    return steps


# --- abbreviations, ordinals and addresses ----------------------------------------------------------------

SENTENCES = {
    "de-DE": (
        "Der 2. Weltkrieg.|Im 19. Jh. war das so.|Der 1. FC Köln.|Am 3. Apr. auch.|Am 24.12. ist zu.|"
        "Heinrich VIII. war König.|Ich wohne in der Hauptstr. 5.|Kommen Sie vorbei.|Am Mo. oder Di. um 8.|"
        "Es sind 5 Min. Fußweg.|Das ist die 3.|Kommen Sie.|Es kostet 12.|Das ist viel.|J. K. Rowling."
    ),
    "en-US": (
        "J.K. Rowling wrote.|A Ph.D. is hard.|A.I. is fun.|D.C. is hot.|L.A. too.|U.S.A. today.|"
        "I live in the U.S.|It is big.|He is 5 ft. tall.|It is 8 in. wide.|It is 2 hrs. long.|Come in.|"
        "Jan. 5, Feb. 6.|Gov. Smith and Lt. Dan.|See Figs. 3 and 4.|We close at 5 p.m. Eastern.|"
        "We close at 5 p.m.|Please come.|Say no.|Then go.|No. 5 is alive.|Look at the sun.|It is up."
    ),
    "es-ES": "EE. UU. es grande.|La Sra. López vive en EE. UU.|El Núm. 5.|Bien.",
    "fr-FR": "Le n° 5.|Art. 3 de la loi.|Éd. Dupont.|Bien.",
    "nb-NO": "Den 5. mai.|Kl. 15 åpner vi.|Bl.a. det, f.eks. nå.|Bra.",
    "da-DK": "Den 3. maj.|Kl. 5.|Bl.a. det.",
    "sv-SE": "Kl. 5 går vi.|T.ex. idag.|Bl.a. det.|Nr. 5.",
    "fi-FI": "5. toukokuuta.|Klo 5.|Esim. nyt.|Dr. Virtanen.",
    "cs-CZ": "Dne 5. května.|Je to č. 5.|Karel IV. Veliký.|Dr. Novák.|Dobře.",
    "hu-HU": "A 2. emelet.|Dr. Kovács.|Itt van XIV. Lajos.|Kb. 3 perc.",
    "hr-HR": "To je 5. maja.|Npr. danas.",
    "sk-SK": "Je 5. mája.",
    "pl-PL": "W 2. wojnie.|To jest 5. dzień.|Jan Paweł II. Wielki.",
    "et-EE": "See on 3. mai.",
    "lv-LV": "Tas ir 3. maijs.",
    "is-IS": "Það er 3. maí.",
    "tr-TR": "Bu 5. kat.|Prof. Dr. Ali geldi.",
    "el-GR": "Ο κ. Παπάς.|Π.χ. σήμερα.|Ο αρ. 5.",
    "ru-RU": "Ул. Ленина, д. 5.|А. С. Пушкин.|В 1990 г. он родился.|Это 5 руб.|Да.",
    "uk-UA": "Вул. Франка, буд. 5.|Так.",
    "id-ID": "Tgl. 5 kami buka.|Jl. Sudirman No. 5.",
    "vi-VN": "TP. Hà Nội.|Xin chào.",
    "eo": "La kap. 5 estas.|La unuaj partoj kaj la resto.|Jes.",
    "multi": "Der Dr. Müller.|J.K. Rowling.|Bien.",
}


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("language", SENTENCES)
def test_a_stop_within_a_sentence_does_not_end_it(language: str, size: int) -> None:
    expected = SENTENCES[language].split("|")
    assert segments(" ".join(expected), size, language) == expected


def test_no_sentence_begins_with_a_small_letter_where_there_are_capitals() -> None:
    assert segments("The unkn. word is odd. Yes.") == ["The unkn. word is odd.", "Yes."]
    assert segments("yes. no. maybe.") == ["yes.", "no.", "maybe."]
    assert segments("Roses are red.\nviolets are blue.") == ["Roses are red.", "violets are blue."]


def with_pause(begin: str, end: str, language: str) -> list[str]:
    segmenter = Segmenter(language)
    found = [*segmenter.push(begin), *segmenter.pause(), *segmenter.push(end), *segmenter.finish()]
    return spoken(found)


@pytest.mark.parametrize(
    ("language", "begin", "end"),
    [
        *(("en", "Go to example.", "com now."), ("en", "Visit openai.", "com/help today.")),
        *(
            ("en", "I use Node.", "js here."),
            ("en", "J.K.", " Rowling wrote."),
            ("en", "Jan.", " 5 is free."),
        ),
        *(("en", "It is 5 ft.", " tall."), ("en", "The Ph.D.", " is in."), ("de", "Der 2.", " Weltkrieg.")),
        *(
            ("de", "Hauptstr.", " 5 ist gut."),
            ("de", "Mo.", " bis Fr. offen."),
            ("de", "Auf beispiel.", "de steht es."),
        ),
        *(("es", "Visite ejemplo.", "es hoy."), ("hu", "Itt van XIV.", " Lajos.")),
    ],
)
def test_a_sentence_that_may_go_on_waits_for_the_next_piece(language: str, begin: str, end: str) -> None:
    assert with_pause(begin, end, language) == [begin + end]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        *(("en", "It is noon."), ("en", "Yes."), ("en", "Let me look that up."), ("en", "I said no.")),
        *(
            ("de", "Wir schließen um Mitternacht."),
            ("de", "Einen Moment bitte."),
            ("en", "It is in the book. "),
        ),
        *(("en", "I am Alex. "), ("sv", "Det är bra."), ("fr", "Un instant.")),
    ],
)
def test_an_ordinary_sentence_does_not_wait_when_the_model_pauses(language: str, text: str) -> None:
    segmenter = Segmenter(language)
    assert spoken([*segmenter.push(text), *segmenter.pause()]) == [text.strip()]


def test_the_rule_of_a_table_without_outer_bars_is_not_said() -> None:
    for size in (1, 3, 1000):
        assert segments("A | B\n--- | ---\n1 | 2\n\nDone.", size) == ["A | B", "1 | 2", "Done."]
        assert segments("A | B\n:--|--:\n1 | 2", size) == ["A | B", "1 | 2"]
