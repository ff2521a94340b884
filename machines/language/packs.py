"""Data of languages: abbreviations, conjunctions, backchannels, and the ends of unfinished phrases.

The call says which language applies, if it knows. Text in another language's script (Han in an English call)
belongs to the language that is written so. All words are in lower case, as they are compared.
"""

from __future__ import annotations

from attrs import frozen

from machines.language.scripts import main_script
from machines.language.tags import primary_language


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    """Divide at commas; a phrase has one word or more."""
    return tuple(text.split(", "))


@frozen
class Pack:
    """One language."""

    code: str
    abbreviations: frozenset[str] = frozenset()
    """Abbreviations: the stop after them does not end a sentence."""
    ending_abbreviations: frozenset[str] = frozenset()
    """Abbreviations that do end a sentence before a capital letter."""
    after_ordinals: frozenset[str] = frozenset()
    """Words that may follow a number with a stop, which then is an ordinal ("am 5. Mai")."""
    conjunctions: frozenset[str] = frozenset()
    """A sentence that is too long is cut before one of these."""
    going_on: frozenset[str] = frozenset()
    """Words that a sentence seldom ends with."""
    going_on_suffixes: tuple[str, ...] = ()
    """The same for scripts without blanks: suffixes of an unfinished phrase."""
    finals: tuple[str, ...] = ()
    """Particles that end a sentence if a blank follows."""
    backchannels: tuple[str, ...] = ()
    """What listeners say to show that they listen."""


ENGLISH = Pack(
    "en",
    abbreviations=_words(
        "mr mrs ms dr prof st jr sr vs no inc ltd co dept approx fig vol gen col sgt capt rev hon mt"
        " ave blvd rd etc e.g i.e a.m p.m u.s u.k"
    ),
    ending_abbreviations=_words("etc a.m p.m u.s u.k"),
    conjunctions=_words("and or but so because which that who while when if although though where"),
    going_on=_words(
        "a an the and or but so because since if when while that which who whose than then as at by"
        " for from in into of on to with without about my your his her its our their i you he she we"
        " they is are was were am be been do does did have has had can could will would shall should"
        " may might must um uh er hmm like also very i'm i'd i'll i've it's there's let's"
    ),
    backchannels=_phrases(
        "uh-huh, uh huh, mm-hmm, mm hmm, mhm, mm, hm, hmm, uh, um, ah, oh, yeah, yep, yes, ok, okay,"
        " right, all right, alright, sure, of course, exactly, i see, got it, i understand, go on"
    ),
)
GERMAN = Pack(
    "de",
    abbreviations=_words(
        "dr prof hr fr frl nr ca bzw vgl st str z.b d.h u.a i.d.r u.u z.t evtl ggf inkl exkl zzgl abs"
        " art bd geb gest jh max min mind tel dipl ing mio mrd sog std s.o s.u v.a usw etc"
    ),
    ending_abbreviations=_words("usw etc"),
    after_ordinals=_words(
        "januar februar märz april mai juni juli august september oktober november dezember"
        " jahrhundert stock etage klasse quartal mal tag woche"
    ),
    conjunctions=_words("und oder aber weil denn dass sondern wenn während obwohl damit sodass"),
    going_on=_words(
        "ich du er sie es wir ihr der die das den dem des ein eine einen einem einer und oder aber"
        " weil wenn dass denn als ob mit von zu zum zur in im an am auf für bei bis durch gegen ohne"
        " um nach vor über unter mein meine meinen meinem meiner dein deine unser unsere sein seine"
        " möchte will würde kann könnte muss soll sollte habe hätte bin ist sind war äh ähm hm also"
        " sehr auch ganz noch sowie"
    ),
    backchannels=_phrases(
        "ja, ja ja, ja genau, genau, mhm, hm, hmm, aha, ah, oh, äh, ähm, okay, ok, ach so, achso,"
        " alles klar, klar, gut, verstehe, ich verstehe, stimmt, richtig, natürlich, na klar, in"
        " ordnung, weiter"
    ),
)
FRENCH = Pack(
    "fr",
    abbreviations=_words("m mm mme mmes mlle dr pr me st ste av bd env ex p.ex tél n° etc c.-à-d"),
    ending_abbreviations=_words("etc"),
    conjunctions=_words("et ou mais donc car parce que quand si lorsque puisque"),
    going_on=_words(
        "je tu il elle on nous vous ils elles le la les l un une des du de d et ou mais donc car que"
        " qui quand si parce avec sans pour par dans sur sous chez à au aux en mon ma mes ton ta tes"
        " son sa ses notre votre leur voudrais veux peux pourrais dois suis est sont ai a avez euh heu"
        " hum ben très aussi"
    ),
    backchannels=_phrases(
        "oui, ouais, oui oui, d'accord, ok, okay, hm, hmm, mhm, ah, oh, euh, ah bon, je vois, bien"
        " sûr, exactement, très bien, c'est ça, tout à fait, je comprends, voilà"
    ),
)
SPANISH = Pack(
    "es",
    abbreviations=_words(
        "sr sra srta sres dr dra d dña ud uds vd prof av avda c núm no pág tel aprox ee.uu etc p.ej"
    ),
    ending_abbreviations=_words("etc ee.uu"),
    conjunctions=_words("y o pero porque que cuando si aunque mientras pues"),
    going_on=_words(
        "yo tú él ella nosotros el la los las un una unos unas de del a al en con sin por para sobre"
        " y o pero porque que si cuando como mi mis tu tus su sus nuestro quiero quisiera puedo podría"
        " tengo es son soy estoy eh este pues muy también"
    ),
    backchannels=_phrases(
        "sí, si, sí sí, ajá, aja, vale, ok, okay, claro, claro que sí, ya, mhm, hm, ah, oh, eh,"
        " entiendo, ya veo, exacto, de acuerdo, muy bien, perfecto, bueno"
    ),
)
ITALIAN = Pack(
    "it",
    abbreviations=_words("sig sigg sig.ra dott dott.ssa prof avv ing n pag tel ca es ecc"),
    ending_abbreviations=_words("ecc"),
    conjunctions=_words("e o ma perché che quando se anche mentre però"),
    going_on=_words(
        "io tu lui lei noi voi il lo la i gli le un uno una di del della dei a al alla da dal in nel"
        " nella con su per tra fra e o ma perché che se quando come mio mia tuo tua suo sua vorrei"
        " voglio posso potrei devo sono è ho ehm eh allora molto anche"
    ),
    backchannels=_phrases(
        "sì, si, sì sì, ok, okay, va bene, certo, esatto, capisco, ho capito, mhm, hm, ah, oh, eh,"
        " d'accordo, giusto, perfetto, infatti"
    ),
)
PORTUGUESE = Pack(
    "pt",
    abbreviations=_words("sr sra srta dr dra prof av r n nº pág tel aprox etc p.ex"),
    ending_abbreviations=_words("etc"),
    conjunctions=_words("e ou mas porque que quando se embora enquanto pois"),
    going_on=_words(
        "eu tu ele ela nós o a os as um uma de do da dos das em no na nos nas com sem por pelo pela"
        " para e ou mas porque que se quando como meu minha seu sua nosso quero queria posso poderia"
        " tenho sou é são estou então muito também hum ã"
    ),
    backchannels=_phrases(
        "sim, sim sim, aham, uhum, ok, okay, tá, tá bom, certo, claro, entendi, mhm, hm, ah, oh,"
        " isso, exato, beleza, pois é, está bem, perfeito"
    ),
)
DUTCH = Pack(
    "nl",
    abbreviations=_words(
        "dhr mevr mw dr prof ir ing drs nr bijv o.a d.w.z m.b.t ca evt incl excl tel enz etc"
    ),
    ending_abbreviations=_words("enz etc"),
    conjunctions=_words("en of maar want omdat dat als terwijl hoewel"),
    going_on=_words(
        "ik jij je hij zij ze wij we jullie de het een van voor met zonder in op aan bij naar om te"
        " en of maar want omdat dat als die mijn jouw zijn haar ons onze wil zou kan kunnen moet heb"
        " ben is eh uh ehm dus heel ook"
    ),
    backchannels=_phrases(
        "ja, ja ja, jaja, oké, ok, okay, mhm, hm, ah, oh, eh, precies, klopt, goed, prima, ik snap"
        " het, natuurlijk, inderdaad"
    ),
)
POLISH = Pack(
    "pl",
    abbreviations=_words("dr prof inż mgr p pan ul al nr np tzn tzw ok godz min tel wg m.in itd itp"),
    ending_abbreviations=_words("itd itp"),
    conjunctions=_words("i lub albo ale bo ponieważ że żeby kiedy gdy jeśli"),
    going_on=_words(
        "ja ty on ona my wy i lub albo ale bo że żeby jak kiedy jeśli w we z ze na do od po przez dla"
        " o u przy pod nad mój moja moje twój chcę chciałbym chciałabym mogę muszę jestem jest są yyy"
        " eee hmm więc bardzo też"
    ),
    backchannels=_phrases("tak, no, no tak, aha, mhm, hm, dobra, dobrze, ok, okej, jasne, rozumiem, ah, oh"),
)
TURKISH = Pack(
    "tr",
    abbreviations=_words("dr prof doç av sn no tel cad sok apt bkz vb vs"),
    ending_abbreviations=_words("vb vs"),
    conjunctions=_words("ve veya ama çünkü fakat ki eğer"),
    going_on=_words(
        "ben sen biz siz bir bu şu o ve veya ama çünkü fakat ki ile için gibi eğer şey ııı eee çok de da"
    ),
    backchannels=_phrases("evet, hı hı, hıhı, tamam, peki, anladım, tabii, tabi, doğru, aynen, hm, ah, oh"),
)
RUSSIAN = Pack(
    "ru",
    abbreviations=_words("г гг ул д стр тел руб коп т.д т.п т.е др им см ок мин тыс млн млрд"),
    ending_abbreviations=_words("т.д т.п др"),
    conjunctions=_words("и или но а что чтобы когда если потому хотя"),
    going_on=_words(
        "я ты он она мы вы они и или но а что чтобы если когда потому как где в во с со на к ко от до"
        " по за из у о об для без при про мой моя моё мои твой ваш наш хочу хотел хотела могу надо"
        " нужно это э ээ эм ну очень"
    ),
    backchannels=_phrases(
        "да, да да, ага, угу, хорошо, понятно, ясно, конечно, точно, ладно, ок, окей, мм, э, ну да"
    ),
)
CHINESE = Pack(
    "zh",
    going_on_suffixes=_phrases(
        "我想, 我要, 我们, 因为, 所以, 但是, 可是, 不过, 然后, 如果, 还有, 或者, 以及, 和, 跟, 把,"
        " 被, 从, 就是, 那个, 这个, 呃"
    ),
    backchannels=_phrases(
        "嗯, 嗯嗯, 哦, 噢, 啊, 对, 对对, 对对对, 是, 是的, 好, 好的, 行, 可以, 没错, 明白, 明白了,"
        " 知道了, 了解, 当然, 呃, 额, 哈"
    ),
)
JAPANESE = Pack(
    "ja",
    going_on_suffixes=_phrases(
        "私は, 僕は, それは, これは, 今日は, 明日は, が, を, に, で, と, も, けど, けれど, ので,"
        " のに, たら, とか, えっと, えーと, あの, その, そして, でも"
    ),
    backchannels=_phrases(
        "はい, はいはい, ええ, うん, うんうん, そう, そうです, そうですね, そうですか, なるほど,"
        " へえ, ああ, あ, おお, えっと, 分かりました, わかりました, 了解です, もちろん"
    ),
)
KOREAN = Pack(
    "ko",
    going_on=_words("저는 제가 나는 그리고 그래서 그런데 하지만 그러면 만약 왜냐하면 음 어 그 저 및 또는"),
    going_on_suffixes=_phrases("은, 는, 을, 를, 에서, 하고, 하는데, 는데, 지만, 면서, 해서, 려고"),
    backchannels=_phrases(
        "네, 네네, 예, 응, 음, 아, 어, 그래요, 그렇군요, 그렇죠, 맞아요, 알겠습니다, 알겠어요, 좋아요, 오케이"
    ),
)
HINDI = Pack(
    "hi",
    abbreviations=_words("डॉ श्री प्रो सं रु कृ"),
    conjunctions=_words("और या लेकिन क्योंकि कि जब अगर तो"),
    going_on=_words(
        "मैं मुझे हम आप वह यह और या लेकिन मगर क्योंकि कि अगर जब तो का की के को से में पर ने मेरा मेरी"
        " मेरे अपना उम्म मतलब बहुत भी"
    ),
    backchannels=_phrases(
        "हाँ, हां, हाँ हाँ, हां हां, जी, जी हाँ, जी हां, ठीक, ठीक है, अच्छा, हम्म, हूँ, समझ गया, समझ"
        " गई, सही, बिल्कुल, ओके, haan, haan ji, theek hai, accha, ji"
    ),
)
ARABIC = Pack(
    "ar",
    abbreviations=_words("د أ م ص ت"),
    conjunctions=_words("و أو لكن لأن ثم إذا عندما حيث"),
    going_on=_words(
        "أنا نحن أنت هو هي و أو لكن لأن ثم إذا أن إن في من إلى على عن مع هذا هذه الذي التي أريد أود يعني جدا"
    ),
    backchannels=_phrases(
        "نعم, أجل, ايوه, أيوه, طيب, حسنا, حسناً, تمام, صحيح, أها, آه, فهمت, مفهوم, أكيد, بالطبع, اوكي"
    ),
)
THAI = Pack(
    "th",
    finals=_phrases("ครับ, ค่ะ, คะ, ค่า, นะ, จ้ะ, จ้า"),
    going_on_suffixes=_phrases("และ, แต่, หรือ, เพราะ, ว่า, ที่, ของ, กับ, ถ้า, คือ, แล้วก็, อยาก, จะ, เอ่อ"),
    backchannels=_phrases("ครับ, ค่ะ, คะ, อือ, อืม, อ๋อ, โอเค, ใช่, ใช่ครับ, ใช่ค่ะ, ได้, เข้าใจ, จ้ะ"),
)

PACKS = {
    pack.code: pack
    for pack in (
        *(ENGLISH, GERMAN, FRENCH, SPANISH, ITALIAN, PORTUGUESE, DUTCH, POLISH, TURKISH, RUSSIAN),
        *(CHINESE, JAPANESE, KOREAN, HINDI, ARABIC, THAI),
    )
}
UNKNOWN = Pack("")
_OF_SCRIPT = {
    "Han": CHINESE,
    "Kana": JAPANESE,
    "Hangul": KOREAN,
    "Devanagari": HINDI,
    "Arabic": ARABIC,
    "Thai": THAI,
    "Cyrillic": RUSSIAN,
}
_SCRIPTS_OF = {
    "zh": ("Han", "Latin"),
    "ja": ("Kana", "Han", "Latin"),
    "ko": ("Hangul", "Han", "Latin"),
    "hi": ("Devanagari", "Latin"),
    "mr": ("Devanagari",),
    "ne": ("Devanagari",),
    "ar": ("Arabic",),
    "fa": ("Arabic",),
    "ur": ("Arabic",),
    "th": ("Thai",),
    "lo": ("Lao",),
    "km": ("Khmer",),
    "my": ("Myanmar",),
    "bo": ("Tibetan",),
    "am": ("Ethiopic",),
    "hy": ("Armenian",),
    "ka": ("Georgian",),
    "he": ("Hebrew",),
    "el": ("Greek",),
    "ru": ("Cyrillic",),
    "uk": ("Cyrillic",),
    "bg": ("Cyrillic",),
    "be": ("Cyrillic",),
    "mk": ("Cyrillic",),
    "kk": ("Cyrillic",),
    "sr": ("Cyrillic", "Latin"),
    **dict.fromkeys(("bn", "pa", "gu", "or", "ta", "te", "kn", "ml", "si"), ("Indic",)),
}
"""The scripts of languages that are not written in Latin letters alone."""


def base_of(language: str) -> str:
    """The language of a tag: "de" of "de-DE"; empty where it is not one language ("multi")."""
    base = primary_language(language)
    return "" if base == "multi" else {"iw": "he", "cmn": "zh", "yue": "zh"}.get(base, base)


def pack_for(text: str, language: str = "") -> Pack:
    """The pack for a text: of the call's language, or of the language that is written in the text's script.

    If the call's language is not known, text in Latin letters counts as English, the default.
    """
    script, base = main_script(text), base_of(language)
    if script is None or script.name in _SCRIPTS_OF.get(base, ("Latin",)):
        return PACKS.get(base, UNKNOWN) if base else ENGLISH
    return _OF_SCRIPT.get(script.name, ENGLISH if script.name == "Latin" else UNKNOWN)


def is_foreign(text: str, language: str) -> bool:
    """Whether most of a text is in a script that the language does not use."""
    script = main_script(text)
    return script is not None and script.name not in _SCRIPTS_OF.get(base_of(language), ("Latin",))
