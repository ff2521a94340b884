"""Data of languages: abbreviations, conjunctions, backchannels, and the ends of unfinished phrases.

The call says which language applies, if it knows. Text in another language's script (Han in an English call)
belongs to the language that is written so. All words are in lower case, as they are compared.
"""

from __future__ import annotations

from collections.abc import Iterable

from machines.language.more_packs import MORE
from machines.language.pack import Pack, phrases, words
from machines.language.scripts import main_script
from machines.language.tags import primary_language

ENGLISH = Pack(
    "en",
    abbreviations=words(
        "mr mrs ms messrs mx dr prof st jr sr vs inc ltd co corp bros dept approx fig figs vol vols gen"
        " col sgt cpl lt cmdr capt maj adm rev fr hon gov sen rep pres supt mt ft ave blvd rd hwy apt ste"
        " bldg etc e.g i.e a.m p.m u.s u.k u.s.a ph.d d.c l.a n.y cf al tel ext p pp secs mss hrs hr mins"
        " lbs lb oz yd yds tsp tbsp gal qt pt mph km cm mm kg feb apr aug sept oct nov tue tues wed thu"
        " thurs"
    ),
    ending_abbreviations=words(
        "etc a.m p.m u.s u.k u.s.a ph.d d.c l.a n.y jr sr inc ltd co corp ft secs hrs hr mins lbs lb oz"
        " yd yds tsp tbsp gal qt mph km cm mm kg al ave blvd rd hwy bldg"
    ),
    conjunctions=words("and or but so because which that who while when if although though where"),
    going_on=words(
        "a an the and or but so because if that's when while whose than as at by for from into of to with"
        " without my your our their its i he she we they um uh er erm hmm i'm i'd i'll i've there's let's"
    ),
    backchannels=phrases(
        "uh-huh, uh huh, mm-hmm, mm hmm, mhm, mm, hm, hmm, uh, um, ah, oh, yeah, yep, yes, ok, okay,"
        " right, all right, alright, sure, of course, exactly, i see, got it, i understand, go on, yup,"
        " yea, ya, huh, gotcha, got you, cool, great, nice, wow, good, perfect, awesome, makes sense,"
        " that makes sense, true, sure thing, fair enough, absolutely, definitely, indeed, totally,"
        " sounds good, very good, alright then, okay then, kay, no problem, for sure, right on,"
        " interesting"
    ),
    complete=phrases(
        "think so, hope so, suppose so, guess so, say so, is that so, or so, not so, plan a, vitamin a,"
        " option a, type a, class a, grade a, group a, room a, gate a, row a, seat a, terminal a, unit a,"
        " section a, team a, block a, building a, hepatitis a, love to, want to, like not to, is for, it"
        " for, that for, what for, you from, it from, come with, go with, stop by, come by, drop by, that"
        " with, and i, or i, are they, is he, is she, are we, do they, does he, does she, do we, do i, am"
        " i, can i, should i, were we, were they"
    ),
    mostly_going_on=words("is are was were am has had would will can could should"),
    ends_after=words(
        "i you he she it we they that this there here what who which where how when why not these those"
        " yes no so as one ones all"
    ),
    numbers=words("zero one two three four five six seven eight nine ten double triple"),
    before_numbers=words(
        "no p pp ch sec eq ed vol vols fig figs apt ste ext jan feb mar apr jun jul aug sep sept oct nov"
        " dec mon tue tues wed thu thurs fri sat sun art para min"
    ),
    after_ordinals=words(
        "eastern pacific central mountain atlantic gmt utc est edt cst cdt mst mdt pst pdt et ct pt cet"
        " monday tuesday wednesday thursday friday saturday sunday monday's mondays"
    ),
    starters=words(
        "i it he she we they you this that these those there here the a an then but and so or if when"
        " while what where who why how which is are was were do does did can could would will shall"
        " should may please thank thanks let let's it's i'm i'll i've i'd you're we're we'll he's she's"
        " that's there's in on at for from with by to as my your our his her its their no not yes now"
        " next first also just come call try take go see tell press say ask give make after before"
        " because since although however all some any many most each every both one two"
    ),
    before_addresses=words("visit at to on see www website site page domain called email from via use check"),
)
GERMAN = Pack(
    "de",
    ordinals=True,
    capital_nouns=True,
    abbreviations=words(
        "dr prof hr fr frl nr ca bzw vgl st str z.b d.h u.a i.d.r u.u z.t evtl ggf inkl exkl zzgl abs geb"
        " gest jh max min mind tel dipl ing mio mrd sog std s.o s.u v.a usw etc jan feb mrz apr jun jul"
        " aug sep sept okt nov dez abt allg bes betr bspw bzgl ebd einschl exempl forts frdl gegr gem ges"
        " hl hrsg inh jhd k.o kath ltd lt m.e mwst nachm nat o.ä o.g p.a pl rd s schr sek stk südl tgl"
        " u.v.m urspr v.chr n.chr verh vorm wg z.hd z.zt zw fa fam kl bhf hbf"
    ),
    ending_abbreviations=words("usw etc u.v.m v.chr n.chr mio mrd std stk sek min o.ä jh jhd"),
    after_ordinals=words(
        "januar februar märz april mai juni juli august september oktober november dezember jahrhundert"
        " stock etage klasse quartal mal tag woche jan feb mrz apr jun jul aug sep sept okt nov dez jh"
        " jhd jhdt uhr og ug"
    ),
    conjunctions=words("und oder aber weil denn dass sondern wenn während obwohl damit sodass"),
    going_on=words(
        "ich wir des und oder aber weil wenn dass als ob von zum zur im am für bis gegen ohne um mein"
        " unser meinem meinen meiner deinem deinen unserem unseren möchte würde könnte sollte hätte äh"
        " ähm hm sowie beziehungsweise"
    ),
    backchannels=phrases(
        "ja, ja ja, ja genau, genau, mhm, hm, hmm, aha, ah, oh, äh, ähm, okay, ok, ach so, achso, alles"
        " klar, klar, gut, verstehe, ich verstehe, stimmt, richtig, natürlich, na klar, in ordnung,"
        " weiter, jo, joa, jep, jawohl, jap, ach, ach ja, na ja, naja, tja, eben, echt, krass, super,"
        " prima, toll, passt, so so, alles klar danke, sehr gut, verstanden, logisch, jawoll, freilich,"
        " ja klar, ja gut, oh ja, ah ja"
    ),
    complete=phrases(
        "auch ich, nur ich, bin ich, auch wir, nur wir, dafür, dagegen, bin dafür, bin dagegen, warum,"
        " oder so"
    ),
    mostly_going_on=words("ist sind war bin ein eine einen einem einer"),
    ends_after=words(
        "das dies es er sie ich wir ihr du hier da dort was wer wie wo so hier heute morgen los frei voll"
        " richtig ja nein wann nicht noch nur auch bitte genau mal"
    ),
    numbers=words("null eins zwei zwo drei vier fünf sechs sieben acht neun zehn"),
    before_numbers=words(
        "s sa so mo di mi do fr tel nr art abs kap bd kl pl jan feb mrz apr jun jul aug sep okt nov dez"
    ),
    abbreviation_suffixes=phrases("str"),
    before_ordinals=words(
        "der die das den dem des im am vom zum zur beim seit bis ab und diesem dieser diese jeder jeden"
        " jede unser unsere mein meine sein seine ihr ihre ein eine"
    ),
    starters=words(
        "ich du er sie es wir ihr das die der den dem dies dieser diese dieses ein eine und oder aber"
        " wenn weil dann da so hier dort jetzt heute morgen bitte danke ja nein was wer wie wo wann warum"
        " wieso welche welcher welches kann können könnten möchten möchte wollen soll sollen sollte darf"
        " dürfen ist sind war haben hat habe wird werden kommen nehmen rufen gehen drücken wählen sagen"
        " warten schreiben senden geben bringen brauchen gibt auch außerdem danach davor für mit von zu"
        " nach bei in im am an auf um ab als ob nur noch unsere unser mein meine ihre ihren gerne gern"
        " vielen guten alles"
    ),
    before_addresses=words("auf unter besuchen sie an www seite website webseite adresse domain von bei"),
)
FRENCH = Pack(
    "fr",
    abbreviations=words(
        "m mm mme mmes mlle dr pr me st ste av bd ex p.ex tél n° etc c.-à-d boul éd chap fig vol p janv"
        " févr avr juil sept oct nov déc min sec apr j.-c art hab resp"
    ),
    ending_abbreviations=words("etc j.-c min"),
    conjunctions=words("et ou mais donc car parce que quand si lorsque puisque"),
    going_on=words(
        "je le la les l des du de d et ou mais donc car que si parce avec sans pour par dans sur sous"
        " chez à au aux mon ma mes ton ta tes son sa ses notre votre voudrais pourrais euh heu hum"
    ),
    backchannels=phrases(
        "oui, ouais, oui oui, d'accord, ok, okay, hm, hmm, mhm, ah, oh, euh, ah bon, je vois, bien sûr,"
        " exactement, très bien, c'est ça, tout à fait, je comprends, voilà, mouais, hein, ça marche,"
        " d'acc, bien, super, exact, parfait, entendu, ben oui, tiens, effectivement, en effet, compris,"
        " c'est vrai, bon, ah oui, ouaip, okay d'accord"
    ),
    complete=phrases("y a, veux que, et si, mais si, vas avec, viens avec"),
    mostly_going_on=words("est un une"),
    ends_after=words("c'est y il elle on ça qui quoi comment où ce seulement encore prends veux"),
    numbers=words("zéro un une deux trois quatre cinq six sept huit neuf dix"),
    before_addresses=words("sur à www site adresse page visitez"),
    before_numbers=words("janv févr avr juil sept oct nov déc p pp n° no art chap vol fig tél"),
)
SPANISH = Pack(
    "es",
    abbreviations=words(
        "sr sra srta sres dr dra d dña ud uds vd prof av avda c núm no pág tel aprox ee.uu etc p.ej ee uu"
        " s.a d.c a.c art cap fig vol p págs admón apdo depto dept gral gob izq dcha lic ing arq hno hnos"
        " fdo ntra sto sta ene feb abr ago sept oct nov dic km hab"
    ),
    ending_abbreviations=words("etc ee.uu uu s.a d.c a.c"),
    conjunctions=words("y o pero porque que cuando si aunque mientras pues"),
    going_on=words(
        "los las unos unas de del al en con sin por para sobre y o pero porque que mi mis tu tus su sus"
        " quisiera podría eh pues"
    ),
    backchannels=phrases(
        "sí, si, sí sí, ajá, aja, vale, ok, okay, claro, claro que sí, ya, mhm, hm, ah, oh, eh, entiendo,"
        " ya veo, exacto, de acuerdo, muy bien, perfecto, bueno, sip, dale, órale, qué bien, genial, así"
        " es, uy, bien, vaya, correcto, eso es, por supuesto, estupendo, listo, entendido, ah ya,"
        " comprendo"
    ),
    complete=phrases("sí o, y tu, lo que, para que, por que, pero que, el qué"),
    mostly_going_on=words("es un una"),
    ends_after=words("así qué que cuál quién ya eso esto él ella cómo sí no lo la solo otra otro"),
    numbers=words("cero uno una dos tres cuatro cinco seis siete ocho nueve diez"),
    before_addresses=words("en a www sitio página web visite visita dirección"),
    before_numbers=words("núm no n pág págs p art cap vol fig ene feb abr ago sept oct nov dic"),
)
ITALIAN = Pack(
    "it",
    abbreviations=words(
        "sig sigg sig.ra dott dott.ssa prof avv ing n pag tel ca es ecc sigg.re geom rag spett gent egr"
        " art cap fig vol pagg p.es p.za c.so v.le gen feb apr mag giu lug sett ott nov dic min sec s.p.a"
        " s.r.l on"
    ),
    ending_abbreviations=words("ecc s.p.a s.r.l"),
    conjunctions=words("e o ma perché che quando se anche mentre però"),
    going_on=words(
        "il la i gli le di del della dei a al alla da dal nel nella con su per tra fra e o ma perché che"
        " vorrei potrei ehm"
    ),
    backchannels=phrases(
        "sì, si, sì sì, ok, okay, va bene, certo, esatto, capisco, ho capito, mhm, hm, ah, oh, eh,"
        " d'accordo, giusto, perfetto, infatti, già, bene, eh sì, ah sì, benissimo, chiaro, vero,"
        " esattamente, ottimo, appunto, bello, sicuro, figurati, capito"
    ),
    mostly_going_on=words("è un una"),
    ends_after=words("cos'è com'è dov'è così chi che qual lo ce c'è sì no solo"),
    numbers=words("zero uno una due tre quattro cinque sei sette otto nove dieci"),
    before_addresses=words("su a www sito pagina visita visiti indirizzo"),
    before_numbers=words("n pag p art cap vol fig gen feb mar apr mag giu lug ago sett ott nov dic"),
)
PORTUGUESE = Pack(
    "pt",
    abbreviations=words(
        "sr sra srta dr dra prof av r n nº pág tel aprox etc p.ex exmo exma ilmo ltda s.a art cap fig vol"
        " págs eng jan fev mar abr mai jun jul ago out nov min seg al cx tr lg pç st sto"
    ),
    ending_abbreviations=words("etc ltda s.a"),
    conjunctions=words("e ou mas porque que quando se embora enquanto pois"),
    going_on=words(
        "o os as de do da dos das em nos nas com sem por pelo pela para e ou mas porque que meu seu"
        " queria poderia então hum ã"
    ),
    backchannels=phrases(
        "sim, sim sim, aham, uhum, ok, okay, tá, tá bom, certo, claro, entendi, mhm, hm, ah, oh, isso,"
        " exato, beleza, pois é, está bem, perfeito, pois, né, hã, pronto, é, é mesmo, legal, sei, ah tá,"
        " ah sim, ótimo, com certeza, claro que sim, exatamente, compreendo, percebo, bom, muito bem,"
        " bacana, verdade, hum"
    ),
    complete=phrases("por que, o que, para que"),
    mostly_going_on=words("é um uma"),
    ends_after=words("isso isto assim que quem qual sim não ele ela já como onde só à mais"),
    numbers=words("zero um uma dois duas três quatro cinco seis meia sete oito nove dez"),
    before_addresses=words("em no para a www site página visite endereço"),
    before_numbers=words("n nº pág p art cap vol fig jan fev mar abr mai jun jul ago set out nov dez"),
)
DUTCH = Pack(
    "nl",
    abbreviations=words(
        "dhr mevr mw dr prof ir ing drs nr bijv o.a d.w.z m.b.t ca evt incl excl tel enz etc blz art p"
        " fam gebr st jan feb apr aug sept okt nov dec min max sec zgn nl jl a.s vgl p.s resp dir mej vs"
        " kl afd bv t.a.v a.u.b s.v.p e.d"
    ),
    ending_abbreviations=words("enz etc e.d jl"),
    conjunctions=words("en of maar want omdat dat als terwijl hoewel"),
    going_on=words(
        "ik de een van voor met zonder om en of maar want omdat dat's als mijn jouw onze wil eh uh ehm"
    ),
    backchannels=phrases(
        "ja, ja ja, jaja, oké, ok, okay, mhm, hm, ah, oh, eh, precies, klopt, goed, prima, ik snap het,"
        " natuurlijk, inderdaad, ja hoor, jawel, nou ja, zo, top, oke, okee, jep, joh, juist, mooi, leuk,"
        " begrepen, duidelijk, prima zo, zeker, ja precies, oh ja"
    ),
    complete=phrases("ook ik, alleen ik, kom om, waar om, dat wil, ik wil wel"),
    mostly_going_on=words("is een"),
    ends_after=words("dat dit het wat wie hoe hij zij ze er hier daar zo nummer ook nog maar"),
    numbers=words("nul een één twee drie vier vijf zes zeven acht negen tien"),
    before_addresses=words("op naar www site website pagina bezoek adres"),
    before_numbers=words("nr blz p art jan feb apr aug sept okt nov dec"),
    abbreviation_suffixes=phrases("str"),
)
POLISH = Pack(
    "pl",
    ordinals=True,
    abbreviations=words(
        "dr prof inż mgr p pan ul al nr np tzn tzw ok godz min tel wg m.in itd itp ks hab płk gen św r w"
        " pl os tys mln mld zł gr str pkt sek m m.st n.p.m pn wt śr czw pt sob niedz sty lut kwi tj ds"
    ),
    ending_abbreviations=words("itd itp"),
    conjunctions=words("i lub albo ale bo ponieważ że żeby kiedy gdy jeśli"),
    going_on=words(
        "i lub albo ale bo że żeby jeśli w we z ze na do od po przez dla o u przy pod nad mój chciałbym"
        " chciałabym yyy eee hmm"
    ),
    backchannels=phrases(
        "tak, no, no tak, aha, mhm, hm, dobra, dobrze, ok, okej, jasne, rozumiem, ah, oh, yhm, spoko,"
        " super, tak tak, oczywiście, pewnie, świetnie, zgadza się, właśnie, dokładnie, fajnie, w"
        " porządku, oki"
    ),
    numbers=words("zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć dziesięć"),
)
TURKISH = Pack(
    "tr",
    ordinals=True,
    abbreviations=words(
        "dr prof doç av sn tel cad sok apt bkz vb vs alm bul mah blv yrd öğr gör arş uzm müh ltd şti a.ş"
        " örn yy dk"
    ),
    ending_abbreviations=words("vb vs"),
    conjunctions=words("ve veya ama çünkü fakat ki eğer"),
    going_on=words("ve veya ama çünkü fakat eğer şey ııı eee"),
    backchannels=phrases(
        "evet, hı hı, hıhı, tamam, peki, anladım, tabii, tabi, doğru, aynen, hm, ah, oh, he, ha, ya,"
        " olur, güzel, öyle, elbette, kesinlikle, evet evet, süper, haklısın, hı"
    ),
    numbers=words("sıfır bir iki üç dört beş altı yedi sekiz dokuz on"),
)
RUSSIAN = Pack(
    "ru",
    abbreviations=words(
        "г гг ул д стр тел руб коп т.д т.п т.е др им см ок мин тыс млн млрд пл пр просп наб кв корп обл"
        " р-н гр акад проф доц инж сек ч чел экз янв февр мар апр авг сент окт нояб дек пн вт ср чт пт сб"
        " вс табл гл ст напр н.э н.э"
    ),
    ending_abbreviations=words("т.д т.п др н.э руб коп мин сек тыс млн млрд"),
    conjunctions=words("и или но а что чтобы когда если потому хотя"),
    going_on=words(
        "и или но а чтобы если потому во в с со на к ко от до по за из у о об для без при про хочу хотел"
        " хотела э ээ эм"
    ),
    backchannels=phrases(
        "да, да да, ага, угу, хорошо, понятно, ясно, конечно, точно, ладно, ок, окей, мм, э, ну да, так,"
        " ну, ну так, а а, хм, мгм, ясненько, верно, правильно, отлично, супер, здорово, понял, поняла,"
        " да да да, так точно, а, о, согласен, согласна, класс, ого"
    ),
    complete=phrases("да хочу, не хочу, сам хочу, так хочу, тоже хочу"),
    numbers=words("ноль нуль один одна два две три четыре пять шесть семь восемь девять десять"),
)
CHINESE = Pack(
    "zh",
    going_on_suffixes=phrases(
        "我想, 我要, 我们, 因为, 所以, 但是, 可是, 不过, 然后, 如果, 还有, 或者, 以及, 和, 跟, 把, 被,"
        " 从, 呃, 因為, 但是, 可是, 然後, 還有, 我們, 從"
    ),
    backchannels=phrases(
        "嗯, 嗯嗯, 哦, 噢, 啊, 对, 对对, 对对对, 是, 是的, 好, 好的, 行, 可以, 没错, 明白, 明白了,"
        " 知道了, 了解, 当然, 呃, 额, 哈, 对的, 對, 對對, 對的, 沒錯, 是喔, 喔, 唔, 嗯哼, 哼, 哎, 诶, 欸,"
        " 哦是吗, 是吗, 是嗎, 得, 好嘞, 好啊, 好呀, 好吧, 行啊, 瞭解, 知道, 懂了, 當然, 係, 係呀, 係啊,"
        " 真的, 不错, 不錯, 哇, 可以可以, 明白喇, 原来如此, 原來如此, 嗯好的, 收到"
    ),
    complete_suffixes=phrases(
        "暖和, 温和, 溫和, 柔和, 平和, 缓和, 緩和, 饱和, 飽和, 总和, 總和, 共和, 谐和, 调和, 調和, 祥和,"
        " 随和, 隨和, 一把, 两把, 兩把, 几把, 幾把, 这把, 這把, 那把, 火把, 拖把, 棉被, 被被, 植被,"
        " 个我要, 個我要, 是我要, 高跟, 鞋跟"
    ),
)
JAPANESE = Pack(
    "ja",
    going_on_suffixes=phrases(
        "私は, 僕は, それは, これは, 今日は, 明日は, えっと, えーと, ええと, えっとー, あのー, そして,"
        " それで, それから, だから, なので, ですが、"
    ),
    backchannels=phrases(
        "はい, はいはい, ええ, うん, うんうん, そう, そうです, そうですね, そうですか, なるほど, へえ,"
        " ああ, あ, おお, えっと, 分かりました, わかりました, 了解です, もちろん, ふん, ふむ, ほう, ほん,"
        " へ, え, お, ん, うむ, なるほどね, なるほどなるほど, そうなんだ, そうなんですね, そうか,"
        " そっか, そうですよね, ですよね, おっけ, おけ, 了解, わかった, 分かった, 承知しました, 確かに,"
        " たしかに, すごい, いいですね, まあ, はあ, はいはいはい"
    ),
)
KOREAN = Pack(
    "ko",
    going_on=words("저는 제가 나는 그리고 그런데 하지만 그러면 만약 왜냐하면 음 어 그 및 또는"),
    going_on_suffixes=phrases("는, 를, 지만, 면서"),
    backchannels=phrases(
        "네, 네네, 예, 응, 음, 아, 어, 그래요, 그렇군요, 그렇죠, 맞아요, 알겠습니다, 알겠어요, 좋아요,"
        " 오케이, 넵, 옙, 오, 와, 그쵸, 그렇구나, 그렇네요, 맞아, 맞습니다, 아하, 아 네, 알겠어,"
        " 알았어요, 알았어, 좋네요, 좋습니다, 그래, 그럼요, 물론이죠, 오케, 흠, 허, 하, 으음"
    ),
    numbers=words("공 영 일 이 삼 사 오 육 륙 칠 팔 구"),
)
HINDI = Pack(
    "hi",
    abbreviations=words("डॉ श्री प्रो सं रु कृ"),
    conjunctions=words("और या लेकिन क्योंकि कि जब अगर तो"),
    going_on=words("मुझे और या लेकिन मगर क्योंकि कि अगर जब ने मेरे अपना उम्म मतलब"),
    backchannels=phrases(
        "हाँ, हां, हाँ हाँ, हां हां, जी, जी हाँ, जी हां, ठीक, ठीक है, अच्छा, हम्म, हूँ, समझ गया, समझ गई,"
        " सही, बिल्कुल, ओके, haan, haan ji, theek hai, accha, ji, हूं, हुं, हाँजी, हांजी, हाँ जी, हां जी,"
        " सही है, ठीक ठीक, बढ़िया, वाह, बिलकुल, अरे वाह, अच्छा ठीक है, achha, acha, han, haan haan,"
        " bilkul, sahi, thik hai"
    ),
    numbers=words("शून्य एक दो तीन चार पाँच पांच छह छः सात आठ नौ दस"),
)
ARABIC = Pack(
    "ar",
    abbreviations=words("د أ م ص ت"),
    conjunctions=words("و أو لكن لأن ثم إذا عندما حيث"),
    going_on=words("و أو لكن لأن ثم إذا أن إن في من إلى على عن مع الذي التي أريد أود يعني"),
    backchannels=phrases(
        "نعم, أجل, ايوه, أيوه, طيب, حسنا, حسناً, تمام, صحيح, أها, آه, فهمت, مفهوم, أكيد, بالطبع, اوكي,"
        " ايه, إيه, ايوا, أيوا, اه, آها, اها, ماشي, اوك, أوكي, أوك, اوكيه, صح, تمام تمام, حسنًا,"
        " بالتأكيد, طبعا, طبعًا, ممتاز, جيد, واضح, عظيم, زين, يا سلام, خلاص"
    ),
    numbers=words("صفر واحد اثنان اثنين ثلاثة اربعة أربعة خمسة ستة سبعة ثمانية تسعة عشرة"),
)
THAI = Pack(
    "th",
    finals=phrases("ครับ, ค่ะ, คะ, ค่า, นะ, จ้ะ, จ้า"),
    going_on_suffixes=phrases("และ, แต่, เพราะ, ว่า, ที่, กับ, ถ้า, คือ, แล้วก็, อยาก, จะ, เอ่อ"),
    backchannels=phrases(
        "ครับ, ค่ะ, คะ, อือ, อืม, อ๋อ, โอเค, ใช่, ใช่ครับ, ใช่ค่ะ, ได้, เข้าใจ, จ้ะ, ฮะ, จ้า, อ่า, อ่ะ,"
        " อื้ม, อือฮึ, ครับผม, โอเคครับ, โอเคค่ะ, ใช่แล้ว, เข้าใจแล้ว, ได้ครับ, ได้ค่ะ, อ้อ, อ๋อครับ,"
        " อ๋อค่ะ, ดีครับ, ดีค่ะ, จริงครับ, เออ, อืมม"
    ),
    complete_suffixes=phrases("ไม่อยาก, สถานที่, หน้าที่, พื้นที่, เต็มที่, ที่ที่, กำกับ, ตัวที่, ทันที่, กว่า"),
)

_MAIN = (
    *(ENGLISH, GERMAN, FRENCH, SPANISH, ITALIAN, PORTUGUESE, DUTCH, POLISH, TURKISH, RUSSIAN),
    *(CHINESE, JAPANESE, KOREAN, HINDI, ARABIC, THAI),
)
PACKS = {pack.code: pack for pack in (*_MAIN, *MORE)}
UNKNOWN = Pack("", abbreviations=words("dr prof mr mrs ms nr tel"))
_ELSEWHERE = words("no prima um so once come sei die as on")
"""Words of one language that say something in another: they do not count where languages are mixed."""
_LONG_ENOUGH = 4


def _mixed(packs: tuple[Pack, ...]) -> Pack:
    """A pack for a call in several languages. What ends an utterance in one of them ends it."""

    def union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
        return frozenset().union(*sets)

    going_on = union(pack.going_on for pack in packs)
    backchannels = dict.fromkeys(phrase for pack in packs for phrase in pack.backchannels)
    return Pack(
        "multi",
        abbreviations=union(pack.abbreviations for pack in packs),
        ending_abbreviations=union(pack.ending_abbreviations for pack in packs),
        before_numbers=union(pack.before_numbers for pack in packs),
        after_ordinals=union(pack.after_ordinals for pack in packs),
        before_addresses=union(pack.before_addresses for pack in packs),
        starters=ENGLISH.starters,
        conjunctions=ENGLISH.conjunctions,
        going_on=ENGLISH.going_on | {word for word in going_on if len(word) >= _LONG_ENOUGH},
        mostly_going_on=ENGLISH.mostly_going_on,
        ends_after=union(pack.ends_after for pack in packs),
        complete=tuple(phrase for pack in packs for phrase in pack.complete),
        backchannels=tuple(phrase for phrase in backchannels if phrase not in _ELSEWHERE),
        numbers=union(pack.numbers for pack in packs),
    )


MIXED = _mixed((ENGLISH, GERMAN, FRENCH, SPANISH, ITALIAN, PORTUGUESE, DUTCH))
"""The Latin languages of Deepgram's "multi". The others are told by their scripts."""
_OF_SCRIPT = {
    "Han": CHINESE,
    "Kana": JAPANESE,
    "Hangul": KOREAN,
    "Devanagari": HINDI,
    "Arabic": ARABIC,
    "Thai": THAI,
    "Cyrillic": RUSSIAN,
    "Greek": PACKS["el"],
    "Hebrew": PACKS["he"],
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
    if not base and primary_language(language) == "multi" and (script is None or script.name == "Latin"):
        return MIXED
    if script is None or script.name in _SCRIPTS_OF.get(base, ("Latin",)):
        return PACKS.get(base, UNKNOWN) if base else ENGLISH
    return _OF_SCRIPT.get(script.name, ENGLISH if script.name == "Latin" else UNKNOWN)


def is_foreign(text: str, language: str) -> bool:
    """Whether most of a text is in a script that the language does not use."""
    script = main_script(text)
    return script is not None and script.name not in _SCRIPTS_OF.get(base_of(language), ("Latin",))
