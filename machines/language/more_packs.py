"""Data of further languages: what listeners say, abbreviations, ordinals and digits."""

from __future__ import annotations

from attrs import evolve

from machines.language.pack import Pack, phrases, words

SWEDISH = Pack(
    "sv",
    abbreviations=words(
        "dr prof hr fr nr ca kl t.ex bl.a d.v.s dvs osv m.m m.fl o.s.v f.d s.k p.g.a ev tel st kap sid"
        " jfr inkl exkl resp jan feb apr aug sept okt nov dec mån tis ons tors fre"
    ),
    ending_abbreviations=words("osv m.m m.fl o.s.v"),
    before_numbers=words("kl nr sid kap st"),
    conjunctions=words("och eller men för att som när om eftersom"),
    going_on=words("och eller men att eftersom på från jag vill en ett min mitt eh öh"),
    backchannels=phrases(
        "ja, jo, jaha, ja ja, jaja, jo jo, just det, precis, okej, visst, bra, jag förstår, jag fattar,"
        " mm, nämen, aha, så, självklart, absolut, exakt, javisst, ja precis, tack, fint, jättebra"
    ),
    numbers=words("noll en ett två tre fyra fem sex sju åtta nio tio"),
)
DANISH = Pack(
    "da",
    abbreviations=words(
        "dr prof hr fr nr ca kl f.eks bl.a dvs osv m.m m.fl mv pga evt tlf tel st sal kap inkl ekskl jf"
        " jan feb apr aug sept okt nov dec man tirs ons tors fre lør"
    ),
    ending_abbreviations=words("osv m.m m.fl mv"),
    before_numbers=words("kl nr kap st"),
    ordinals=True,
    conjunctions=words("og eller men fordi at som når hvis"),
    going_on=words("og eller men fordi at fra jeg vil en et min mit øh"),
    backchannels=phrases(
        "ja, jo, jaja, ja ja, nå, nå ja, nemlig, præcis, okay, fint, godt, jeg forstår, jeps, klart,"
        " selvfølgelig, netop, helt sikkert, javel, jamen"
    ),
    numbers=words("nul en et to tre fire fem seks syv otte ni ti"),
)
NORWEGIAN = evolve(
    DANISH,
    code="nb",
    backchannels=phrases(
        "ja, jo, jaja, ja ja, nettopp, akkurat, ok, okei, greit, fint, bra, skjønner, jeg skjønner, jeg"
        " forstår, javel, jepp, klart, selvfølgelig, så, ikke sant, stemmer"
    ),
    numbers=words("null en ett to tre fire fem seks sju syv åtte ni ti"),
)
ICELANDIC = Pack(
    "is",
    abbreviations=words("dr nr kl t.d þ.e m.a o.s.frv hr fr sími bls u.þ.b jan feb apr ág sept okt nóv des"),
    ending_abbreviations=words("o.s.frv"),
    before_numbers=words("kl nr bls"),
    ordinals=True,
    backchannels=phrases("já, jæja, einmitt, nákvæmlega, allt í lagi, ókei, ég skil, jamm, jú, gott"),
    numbers=words("núll einn tveir þrír fjórir fimm sex sjö átta níu tíu"),
)
FINNISH = Pack(
    "fi",
    abbreviations=words(
        "dr prof tri rva nro n klo esim ts jne ym yms puh s os kpl mm ns noin ko huom ma ti ke to pe la su"
    ),
    ending_abbreviations=words("jne ym yms"),
    before_numbers=words("klo nro n puh s ma ti ke to pe la su"),
    ordinals=True,
    conjunctions=words("ja tai mutta koska että kun jos"),
    going_on=words("ja tai mutta koska että eli minä haluaisin ööö öö"),
    backchannels=phrases(
        "joo, juu, niin, kyllä, okei, aivan, just, selvä, ymmärrän, hyvä, totta, joojoo, niin niin,"
        " aijaa, no niin, juuri niin, jaha, jep, todellakin, ahaa, hienoa"
    ),
    numbers=words("nolla yksi kaksi kolme neljä viisi kuusi seitsemän kahdeksan yhdeksän kymmenen"),
)
ESTONIAN = Pack(
    "et",
    abbreviations=words("dr prof hr pr nr kell nt jne jt u s.t lk tel tn mnt pst"),
    ending_abbreviations=words("jne jt"),
    before_numbers=words("nr lk tel"),
    ordinals=True,
    backchannels=phrases(
        "jah, jaa, just, selge, hästi, olgu, muidugi, täpselt, ahah, nii, okei, saan aru, õige"
    ),
    numbers=words("null üks kaks kolm neli viis kuus seitse kaheksa üheksa kümme"),
)
LATVIAN = Pack(
    "lv",
    abbreviations=words("dr prof nr plkst piem u.c utt u.tml t.i tālr lpp g"),
    ending_abbreviations=words("u.c utt u.tml"),
    before_numbers=words("nr plkst lpp tālr"),
    ordinals=True,
    backchannels=phrases("jā, labi, skaidrs, protams, tieši tā, saprotu, nu jā, okei, pareizi, jā jā"),
    numbers=words("nulle viens divi trīs četri pieci seši septiņi astoņi deviņi desmit"),
)
LITHUANIAN = Pack(
    "lt",
    abbreviations=words("dr prof nr val pvz t.y t.t kt ir.kt tel g pr a.k d m"),
    ending_abbreviations=words("t.t kt"),
    before_numbers=words("nr tel g"),
    backchannels=phrases(
        "taip, gerai, aišku, žinoma, suprantu, tikrai, teisingai, nu taip, okei, aha, būtent"
    ),
    numbers=words("nulis vienas du trys keturi penki šeši septyni aštuoni devyni dešimt"),
)
CZECH = Pack(
    "cs",
    abbreviations=words(
        "dr prof ing mgr mudr judr phdr bc p pí sl č čp tel ul nám tř např tj tzn tzv atd apod mj cca max"
        " min hod kč st resp popř př str odst zák s.r.o a.s po út st čt pá so ne"
    ).difference(("po", "so", "ne", "st")),
    ending_abbreviations=words("atd apod s.r.o a.s hod kč"),
    before_numbers=words("č čp tel str odst po út st čt pá so ne"),
    ordinals=True,
    conjunctions=words("a nebo ale protože že aby když pokud"),
    going_on=words("a nebo ale protože že aby když pokud v ve k ke s se z ze na od do pro chtěl chtěla ehm"),
    backchannels=phrases(
        "jo, ano, dobře, jasně, aha, rozumím, přesně, přesně tak, no, no jo, no jasně, tak, ok, okej,"
        " fajn, výborně, chápu, samozřejmě, to jo, určitě, super, jojo, správně"
    ),
    numbers=words("nula jedna jeden dva dvě tři čtyři pět šest sedm osm devět deset"),
)
SLOVAK = evolve(
    CZECH,
    code="sk",
    conjunctions=words("a alebo ale pretože že aby keď ak"),
    going_on=words("a alebo ale pretože že aby keď v vo k ku s so z zo na od do pre chcel chcela"),
    backchannels=phrases(
        "áno, hej, jasné, dobre, aha, rozumiem, presne, presne tak, no, no jasné, tak, okej, fajn,"
        " výborne, chápem, samozrejme, určite, super, správne"
    ),
    numbers=words("nula jeden jedna dva dve tri štyri päť šesť sedem osem deväť desať"),
)
SLOVENE = Pack(
    "sl",
    abbreviations=words("dr prof g ga gdč št tel ul npr tj itd ipd oz ok max min mag sv str"),
    ending_abbreviations=words("itd ipd"),
    before_numbers=words("št tel str"),
    ordinals=True,
    backchannels=phrases(
        "ja, da, dobro, aha, razumem, točno, seveda, prav, v redu, okej, jasno, super, tako je"
    ),
    numbers=words("nič nula ena eden dva tri štiri pet šest sedem osem devet deset"),
)
CROATIAN = Pack(
    "hr",
    abbreviations=words("dr prof g gđa br tel ul npr tj itd sl ing mr sv str oko min max gosp god st"),
    ending_abbreviations=words("itd sl"),
    before_numbers=words("br tel str god"),
    ordinals=True,
    conjunctions=words("i ili ali jer da kad ako"),
    going_on=words("i ili ali jer u s sa na od do za želim htio htjela"),
    backchannels=phrases(
        "da, aha, dobro, jasno, razumijem, razumem, točno, tačno, tako je, naravno, u redu, važi, super,"
        " okej, ma da, pa da, може, да, добро, јасно, разумем, тачно, тако је, наравно, у реду, важи"
    ),
    numbers=words("nula jedan dva dvije tri četiri pet šest sedam osam devet deset"),
)
HUNGARIAN = Pack(
    "hu",
    abbreviations=words(
        "dr prof ifj id özv kb pl stb ún tel u út krt sz szt db ft kft zrt bt nyrt ill vö ld pl jan febr"
        " márc ápr jún júl aug szept okt nov dec"
    ),
    ending_abbreviations=words("stb kft zrt bt nyrt"),
    before_numbers=words("sz tel"),
    ordinals=True,
    conjunctions=words("és vagy de mert hogy ha amikor"),
    going_on=words("és vagy de mert hogy ha egy az szeretnék izé öö ööö"),
    backchannels=phrases(
        "igen, ja, jó, oké, aha, értem, persze, rendben, pontosan, így van, világos, szuper, hát, hát"
        " igen, jól van, természetesen, na, remek, helyes, úgy van, igen igen"
    ),
    numbers=words("nulla egy kettő két három négy öt hat hét nyolc kilenc tíz"),
)
ROMANIAN = Pack(
    "ro",
    abbreviations=words(
        "dr prof dl dna dra dle nr tel str bd sf ex etc ș.a ing jud ap bl sc et pag art min max"
    ),
    ending_abbreviations=words("etc"),
    before_numbers=words("nr tel ap bl sc et pag art"),
    conjunctions=words("și sau dar pentru că când dacă"),
    going_on=words("și sau dar că să pentru cu fără de la în din aș vrea un niște ăă"),
    backchannels=phrases(
        "da, bine, aha, înțeleg, am înțeles, sigur, exact, corect, în regulă, desigur, așa, așa este, așa"
        " e, perfect, păi da, super, clar, mda, da da, bun, foarte bine, okay"
    ),
    numbers=words("zero unu una doi două trei patru cinci șase șapte opt nouă zece"),
)
CATALAN = Pack(
    "ca",
    abbreviations=words("sr sra srta dr dra prof av c núm pàg tel etc p.ex st sta"),
    ending_abbreviations=words("etc"),
    before_numbers=words("núm pàg tel"),
    backchannels=phrases(
        "sí, d'acord, val, vale, molt bé, és clar, clar, entesos, ho entenc, exacte, ja, perfecte, ajà, bé"
    ),
    numbers=words("zero u un una dos dues tres quatre cinc sis set vuit nou deu"),
)
GREEK = Pack(
    "el",
    abbreviations=words(
        "κ κα κος κυρ δρ καθ π.χ δηλ κ.λπ κλπ κ.ά κ.α τηλ αρ οδ λεωφ αγ σελ π.μ μ.μ μ.χ ευρ λ.χ βλ πρβ"
        " ιαν φεβ μαρ απρ ιουν ιουλ αυγ σεπτ οκτ νοε δεκ"
    ),
    ending_abbreviations=words("κ.λπ κλπ κ.ά κ.α π.μ μ.μ μ.χ"),
    before_numbers=words("αρ τηλ σελ"),
    conjunctions=words("και ή αλλά γιατί επειδή ότι όταν αν"),
    going_on=words("και ή αλλά επειδή ότι αν στο στη στην στον από με για θα να το τη την τον ένα εε"),
    backchannels=phrases(
        "ναι, ναι ναι, οκ, οκέι, εντάξει, μάλιστα, σωστά, ακριβώς, κατάλαβα, καταλαβαίνω, ωραία, βέβαια,"
        " φυσικά, α, α ναι, αχά, ααα, καλά, έτσι, τέλεια, ω, έγινε, βεβαίως"
    ),
    numbers=words("μηδέν ένα δύο δυο τρία τέσσερα πέντε έξι εφτά επτά οχτώ οκτώ εννιά εννέα δέκα"),
)
UKRAINIAN = Pack(
    "uk",
    abbreviations=words(
        "р рр вул м буд кв тел грн коп т.д т.п тощо напр ім див хв год тис млн млрд пл просп проф акад о обл"
    ).difference(("тощо",)),
    ending_abbreviations=words("т.д т.п грн коп хв год тис млн млрд"),
    before_numbers=words("буд кв тел"),
    conjunctions=words("і та або але що щоб коли якщо тому"),
    going_on=words("і й та або але щоб якщо бо в у на з із до від для про хотів хотіла хочу е ее ем"),
    backchannels=phrases(
        "так, угу, ага, добре, зрозуміло, ясно, звісно, звичайно, точно, авжеж, еге, гаразд, ок, окей,"
        " ну, ну так, розумію, правильно, чудово, супер, а, о, мгм, хм, да, так так, атож"
    ),
    numbers=words("нуль один одна два дві три чотири п'ять шість сім вісім дев'ять десять"),
)
BULGARIAN = Pack(
    "bg",
    abbreviations=words(
        "г гр ул бул тел лв ст т.н т.е напр др проф инж вкл мин хил млн св ж.к бл ап вх ет и.т.н"
    ),
    ending_abbreviations=words("лв ст др мин хил млн"),
    before_numbers=words("тел бл ап вх ет"),
    going_on=words("и или но че да защото ако в във на с със за от до искам бих"),
    backchannels=phrases(
        "да, ага, добре, ясно, разбирам, разбрах, точно, точно така, така, разбира се, окей, ок, аха,"
        " супер, вярно, мхм, е да, ами да, хубаво"
    ),
    numbers=words("нула едно един две два три четири пет шест седем осем девет десет"),
)
HEBREW = Pack(
    "he",
    backchannels=phrases(
        "כן, אהה, אה, אוקיי, אוקי, נכון, בסדר, הבנתי, מבין, מבינה, ברור, בטח, טוב, יופי, סבבה, בדיוק,"
        " אוקי כן, כן כן, מעולה, אהא, נו, וואו, ודאי, אמת"
    ),
    going_on=words("של את על עם אבל או כי אם אני רוצה ו"),
)
PERSIAN = Pack(
    "fa",
    backchannels=phrases(
        "بله, آره, خب, باشه, اوهوم, آها, درسته, فهمیدم, می‌فهمم, البته, حتما, اوکی, چشم, خوب, دقیقا,"
        " بسیار خوب, آهان"
    ),
    going_on=words("و یا اما ولی چون که اگر از به در با برای"),
)
URDU = Pack(
    "ur",
    backchannels=phrases(
        "جی, ہاں, جی ہاں, اچھا, ٹھیک, ٹھیک ہے, صحیح, بالکل, ہوں, سمجھ گیا, سمجھ گئی, اوکے, ہمم, جی جی"
    ),
    going_on=words("اور یا لیکن کیونکہ کہ اگر جب"),
)
BENGALI = Pack("bn", backchannels=phrases("হ্যাঁ, হ্যা, হুম, আচ্ছা, ঠিক আছে, ঠিক, জি, জ্বি, বুঝেছি, বুঝলাম, ওকে, হুঁ"))
TAMIL = Pack(
    "ta",
    abbreviations=words("டாக்டர் திரு திருமதி செல்வி"),
    backchannels=phrases("ஆமா, ஆமாம், சரி, ம், ம்ம், ஓகே, புரிந்தது, புரியுது, நல்லது, ஆம்"),
)
TELUGU = Pack("te", backchannels=phrases("అవును, సరే, ఓకే, ఆ, ఊ, హా, అర్థమైంది, బాగుంది, మంచిది"))
VIETNAMESE = Pack(
    "vi",
    abbreviations=words("tp q p ths ts gs pgs bs ông tr đ vd st v.v"),
    ending_abbreviations=words("v.v"),
    going_on=words("và hoặc nhưng vì nếu của cho với là thì mà muốn"),
    backchannels=phrases(
        "vâng, dạ, dạ vâng, vâng ạ, dạ dạ, ừ, ừm, ừ hử, ờ, à, ồ, đúng, đúng rồi, được, được rồi, rồi, tôi"
        " hiểu, hiểu rồi, thế à, vậy à, phải, dĩ nhiên, tốt, ok, oke"
    ),
    numbers=words("không một hai ba bốn năm sáu bảy tám chín mười"),
)
INDONESIAN = Pack(
    "id",
    abbreviations=words(
        "dr prof ir drs h hj bpk sdr tgl jl jln gg no hlm dll dsb dst dkk tel telp kec kab kel rt rw yth"
        " a.n d.a s.d pt pukul"
    ).difference(("pukul",)),
    ending_abbreviations=words("dll dsb dst dkk"),
    before_numbers=words("no tgl hlm rt rw tel telp"),
    going_on=words("dan atau tetapi tapi karena bahwa yang di ke dari untuk dengan kalau eh"),
    backchannels=phrases(
        "iya, ya, iya iya, ya ya, yah, he eh, heeh, oke, okay, baik, betul, benar, paham, mengerti,"
        " tentu, oh begitu, oh gitu, sip, siap, bagus, boleh, hu um, nah, ooh, begitu"
    ),
    numbers=words("nol kosong satu dua tiga empat lima enam tujuh delapan sembilan sepuluh"),
)
MALAY = evolve(INDONESIAN, code="ms")
FILIPINO = Pack(
    "tl",
    abbreviations=words("dr g gng bb atty engr no"),
    before_numbers=words("no"),
    backchannels=phrases(
        "oo, opo, oho, sige, okay, ganun, ah ganun, tama, talaga, gets, oo nga, naku, sige po"
    ),
)
MORE = (
    *(
        SWEDISH,
        DANISH,
        NORWEGIAN,
        evolve(NORWEGIAN, code="no"),
        evolve(NORWEGIAN, code="nn"),
        ICELANDIC,
        FINNISH,
    ),
    *(ESTONIAN, LATVIAN, LITHUANIAN, CZECH, SLOVAK, SLOVENE, CROATIAN, evolve(CROATIAN, code="sr")),
    *(
        evolve(CROATIAN, code="bs"),
        HUNGARIAN,
        ROMANIAN,
        CATALAN,
        GREEK,
        UKRAINIAN,
        BULGARIAN,
        HEBREW,
        PERSIAN,
    ),
    *(URDU, BENGALI, TAMIL, TELUGU, VIETNAMESE, INDONESIAN, MALAY, FILIPINO),
)
