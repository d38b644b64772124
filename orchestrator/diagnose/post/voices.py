"""Whose people say in thirteen languages that a failure is: their own, another's, an example's.

English, German, French, Spanish, Portuguese, Italian, Chinese, Japanese, Dutch, Polish, Russian,
Turkish and Korean. Each list is one kind
of thing that a sentence says; when the failure was :mod:`stories` tells.
"""

# The letters of Russian and Turkish are meant.
# ruff: noqa: RUF001

from __future__ import annotations

from orchestrator.diagnose.post import stories
from orchestrator.diagnose.post.stories import BUT, any_of, is_back

#: The writer has the failure, by a sentence of now.
_OWN = any_of(
    r"\b(?:I|we)(?:['\u2019](?:m|re|ve)| am| are| have| can)?(?: \w+ly| now| still| also|"
    r" always| just| too| only| then| get to)* (?:get(?:ting)?|see(?:ing)?|have|having"
    r"|receiv(?:e|ing)|hit(?:ting)?|fac(?:e|ing)|encounter(?:ing)?|run into|running into|end"
    r" up|am stuck)\b(?! (?:never|not|no)\b)",
    r"\b(?:gives|throws|shows|tells|greets|bites) (?:me|us)\b|\bme and\b|\band (?:I|me)\b",
    r"\b(?:bekomme|kriege|erhalte|sehe|habe) (?:ich|auch ich)\b|\bich (?:bekomme|kriege"
    r"|erhalte|sehe)\b|\b(?:wir|und ich) (?:bekommen|kriegen|erhalten|sehen|haben)\b|\bbei"
    r" (?:mir|uns) (?:kommt|erscheint|steht|auch|tritt)\b",
    r"\bj['\u2019](?:obtiens|ai)\b(?! (?:pas|jamais))|\bje (?:vois|reçois|tombe)\b|\b(?:nous"
    r"|on) (?:obtenons|avons)\b|\bm['\u2019]affiche\b",
    r"\b(?:me|nos) (?:sale|aparece|da|tira|lanza|salta|muestra)\b|\b(?:obtengo|recibo"
    r"|tenemos)\b|\btengo (?:este|el|un)\b",
    r"\b(?:recebo|obtenho|aparece para mim|estou (?:recebendo|tendo)|estamos|tenho (?:este|o"
    r"|um))\b|\b(?:me|nos) (?:dá|aparece)\b",
    r"\b(?:ottengo|ricevo|otteniamo|mi (?:dà|appare|esce)|vedo)\b|\bho (?:questo|il) ",
    r"(?:我|我们|咱)(?:也|都|今天|现在|这里|这边)*(?:遇到|得到|报错|报|看到|出现|碰到|收到)",
    r"(?:私|こちら|自分).{0,12}(?:出ます|出る|出て|同じ|表示され)",
    r"\b(?:krijg|zie|heb) ik\b(?! (?:geen|niet|nooit|dit nooit))|\bik (?:krijg|zie|heb"
    r"|loop tegen)\b(?! (?:geen|niet|nooit|dit nooit|het nooit|al|hem|haar))"
    r"|\bwe (?:krijgen|zien|hebben)\b(?! (?:geen|niet))",
    r"(?<!nie )\b(?:dostaję|otrzymuję|widzę|mam|dostajemy|mamy)\b|\bwyskakuje (?:mi"
    r"|nam)\b|\bu mnie (?:wyskakuje|pojawia się)\b",
    r"(?<!не )\b(?:получаю|вижу|ловлю|получаем|видим)\b|\bу (?:меня|нас) (?:такая|эта"
    r"|следующая|появляется|вылетает|выдаёт|выдает|возникает|ошибка|падает)\b",
    r"\b(?:alıyorum|görüyorum|alıyoruz|karşılaşıyoru[mz])\b|\bbana .{0,20}(?:veriyor"
    r"|diyor)\b",
    r"(?:오류|에러|메시지|문제)(?:가|이|를|을)? ?"
    r"(?:나옵니다|나와요|나오네요|나오고|발생합니다|발생해요|뜹니다|떠요|뜨네요|겪고)",
)
#: Words for a failure.
FAILURE = any_of(
    r"\b(?:errors?|fail\w*|crash\w*|problems?|issues?|exceptions?|messages?|trace\w*|stuck)\b",
    r"\b(?:fehler\w*|meldung\w*|absturz|erreurs?|problèmes?|problemas?|mensaj\w*|erros?"
    r"|mensage\w*|errore|errori|problemi?|messaggi\w*)\b",
    r"[错錯]|问题|問題|异常|エラー|报",
    r"\b(?:fout\w*|melding\w*|probleem|problemen|błęd\w*|błąd|komunikat\w*|hata\w*"
    r"|sorun\w*)\b|ошибк\w*|проблем\w*|сообщени\w*|오류|에러|문제|메시지",
)
#: The writer's own condition: "if I run it, it prints ...".
_MINE = any_of(
    r"\b(?:I|my|me|we|our|us|mine)\b|\b(?:ich|mein\w*|mir|mich|wir|unser\w*|uns)\b|\b(?:je"
    r"|j['\u2019]\w+|mon|ma|mes|moi|nous|notre)\b|\b(?:yo|mi|mis|nuestr[oa]|nos|me)\b|\b(?:eu"
    r"|meu|minha|nosso|nossa)\b|\b(?:io|mio|mia|noi|nostro)\b",
    r"我|私|僕|自分",
    r"\b(?:ik|mijn|mij|wij|ons|onze|mój|moja|moje|mnie|nasz\w*|nam|nas|ben|benim|bana"
    r"|bende|bizim)\b|\b(?:я|мой|моя|моё|мое|мне|меня|мы|наш\w*|нас|нам)\b|저는|저의|제가|제 "
    r"|저희|우리",
)
#: One word for another person, and their machine.
THEIRS = any_of(
    r"\b(?:his|her|their) (?:\w+ )?(?:box|machine|pi|pc|setup|server|laptop|computer|system|hat"
    r"|board|card)\b|\b(?:his|hers|theirs) (?:just |only )?(?:prints?|says?|shows?|gives?|has"
    r"|ha[dv]e?|ends?|stops?|reports?|fails?|complains?|dies?)\b",
    r"\b(?:ihre[rs]?|seine[rs]?) (?:meldet|zeigt|sagt|schreibt|gibt|bringt)\b|\bbei (?:ihm|ihr"
    r"|ihnen)\b|\b(?:sein|ihr) (?:\w+ )?(?:pi|rechner|raspi|raspberry|laptop)\b",
    r"\b(?:le sien|la sienne|le leur|la leur|chez (?:lui|elle|eux))\b|\b(?:el suyo|la suya)\b"
    r"|\b(?:o|no|a|na) del[ea]s?\b(?! )|\b[on] dele\b|\b(?:il suo|la sua|sul suo|da lui|da lei)\b",
    r"\b(?:zijn|haar|hun) (?:eigen )?(?:pi|raspberry|computer|machine|server"
    r"|laptop) (?:meldt|zegt|geeft|toont)\b|\bbij (?:hem|haar thuis|hen)\b|\bu (?:niego"
    r"|niej|nich)\b|\bу (?:него|неё|нее|них)\b|\b(?:его|её|ее|их) (?:\w+ )?(?:pi"
    r"|raspberry|малин\w*|компьютер\w*|ноутбук\w*|машин\w*|сервер\w*)\b"
    r"|\bonun (?:\w+ )?(?:pi|makine|bilgisayar)\w*\b|그의|그녀의|그분의",
)
#: Somebody else had it.
OTHER = any_of(
    r"\b(?:my|a|an|one of (?:my|our)|our|some|another|the|his|her) (?:\w+ )?(?:colleagues?"
    r"|co-?workers?|friends?|customers?|clients?|neighbou?rs?|brother|sister|boss|interns?"
    r"|students?|pupils?|teachers?|users?|readers?|team ?mates?|guy|person|poster|buddy"
    r"|reporter)\b",
    r"\b(?!(?:it|that|here|there|what|this|who|let|he|she|one)['\u2019])\w+['\u2019]s (?:\w+ )?"
    r"(?:box|machine|pi|pc|setup|log|server|laptop|computer|system|hat|board|card|ci|build"
    r"|pipeline)\b",
    THEIRS.pattern,
    r"\b(?:the docs?|documentation|manual|chat ?gpt|gpt\S*|copilot|gemini|claude|an? (?:guide"
    r"|tutorial|ai)) (?:says?|said|told|tells?|mentions?|suggests?|suggested|writes?)\b",
    r"\b(?:someone|somebody|others?|people|he|she|they) (?:else )?(?:\w+ ){0,6}?(?:had|has|got"
    r"|gets|saw|posted|reported|wrote|ran into|described|sent)\b",
    r"\b(?:on|in|from) (?:the forum|discord|reddit|stack ?overflow|another thread|this thread"
    r"|that thread|an old thread|an? (?:github )?issue|issue #?\d+|slack|the docs)\b",
    r"\b(?:kolleg(?:e|in|en)|freund(?:in)?|kunden?|kundin|nachbar|bekannter?|jemand(?:"
    r" anders)?|ein anderer|im forum|anderer nutzer|chef|student)\b",
    r"\b(?:collègue|ami|amie|client|voisin|quelqu['\u2019]un|sur le forum|un autre utilisateur)\b",
    r"\b(?:colega|compañer[oa]|amig[oa]|cliente|vecino|alguien|alguém|vizinho|outro usuário"
    r"|otro usuario|en el foro|no fórum)\b|\b(?:collega|amico|cliente|qualcuno|sul forum)\b",
    r"(?:同事|朋友|客户|别人|有人|网友|论坛|他的|她的)",
    r"(?:同僚|友人|顧客|先輩|他の人|誰か|知人|フォーラム)",
    r"\b(?:een|mijn|onze) (?:collega|vriend(?:in)?|klant|buurman|student)\b"
    r"|\biemand (?:anders|op)\b|\bop het forum\b|\b(?:koleg\w*|koledze|znajom\w+"
    r"|przyjaci\w+|klient\w*|sąsiad\w*|ktoś (?:inny )?na forum)\b",
    r"\b(?:коллег\w*|приятел\w*|друга|другу|знаком(?:ого|ому|ый|ая|ой)|клиент\w*"
    r"|сосед\w*|кто-то|на форуме)\b|\b(?:iş )?(?:arkadaşım|meslektaşım|müşterim"
    r"|komşum)\w*|\bbir(?:isi|ileri)\w*|\bforumda\b",
    r"동료|친구|고객|다른 (?:사람|분)|누군가|지인|포럼에서|선배|후배",
)
#: So long ago, or so plainly another's, that the sentence alone says it.
LONG_AGO = any_of(
    r"\bnot (?:me|mine|my (?:log|machine|box))\b|\b(?:last|a|two|three|some|many) (?:year"
    r"|month)s?(?: ago)?\b|\b(?:years|ages|months) ago\b|\bback (?:then|in)\b|\bonce had\b"
    r"|\bin 20[12]\d\b",
    r"\bnicht (?:ich|bei mir|von mir)\b|\b(?:letztes|voriges|vergangenes) jahr\b|\bvor (?:\w+"
    r" )?(?:jahren|monaten|langer zeit)\b|\bdamals\b",
    r"\b(?:pas moi|pas le mien|l['\u2019]an(?:née)? dernière?|il y a (?:\w+ )?(?:ans|mois))\b",
    r"\b(?:no yo|no (?:es|era) mío|el año pasado|hace (?:\w+ )?(?:años|meses))\b|\b(?:não eu"
    r"|não é meu|ano passado|há (?:\w+ )?(?:anos|meses)|anos atrás)\b|\b(?:non io|non è mio"
    r"|l['\u2019]anno scorso|(?:anni|mesi) fa)\b",
    r"(?:去年|几年前|不是我|以前|昨年|数年前|私ではな)",
    r"\bniet (?:ik|bij mij|van mij)\b|\b(?:vorig jaar|(?:jaren|maanden) geleden"
    r"|destijds)\b|\bnie (?:ja|u mnie|moje)\b|\b(?:w zeszłym roku|rok temu|(?:lat"
    r"|miesięcy) temu)\b",
    r"\bне (?:я|у меня|моё|мое)\b|\b(?:в прошлом году|год назад|(?:лет|месяцев"
    r"|года) назад|когда-то|давно)\b|\bben değil\b|\bgeçen (?:yıl|sene)\b|\b(?:yıllar"
    r"|aylar|yıl) önce\b|작년|몇 년 전|제가 아니|제 것이 아니",
)
#: What a sentence shows is one of a kind.
EXAMPLE = any_of(
    r"\b(?:something (?:like|similar)|for (?:example|instance)|e\.g\.|(?:an?|this|the"
    r"|following) (?:example|sample)|examples?|looks? like (?:this|so))\b",
    r"\b(?:zum beispiel|z\. ?b\.|beispiel\w*|so etwas wie|etwa so|ungefähr)\b",
    r"\b(?:par exemple|exemple|quelque chose comme|du genre|por ejemplo|ejemplo|algo (?:así|como)"
    r"|por exemplo|exemplo|ad esempio|per esempio|esempio|qualcosa (?:come|del genere))\b",
    r"(?:例(?:として|を|の|文)|例如|比如|示例|例えば|たとえば|のような)",
    r"\b(?:bijvoorbeeld|voorbeeld\w*|zoiets als|na przykład|przykład\w*|coś takiego"
    r"|например|пример\w*|что-то вроде|örneğin|örnek\w*|mesela)\b|\b(?:bijv|np)\.|예를 들"
    r"|예시",
)
#: The writer's own machine is well, or never had it.
_HEALTHY = any_of(
    r"\b(?:I|we)(?:['\u2019]ve| have)? (?:myself )?never (?:had|seen|got|hit|met|experienced)\b",
    r"\b(?:I|we) (?:(?:do|did) not|don['\u2019]t|didn['\u2019]t|haven['\u2019]t|have not)"
    r" (?:had|have|seen|hit|get|got|see) (?:that|this|it|any|the (?:error|problem|issue))(?:"
    r" (?:error|problem|issue))?(?: myself| yet| here| at all| so far)*(?=\W*$|[.,;!)] )",
    r"\b(?:I|we) (?:have|get|see) no (?:such )?(?:error|message|failure)s?\b|\bmy (?:own )?log has"
    r" (?:nothing|none)\b",
    r"\b(?:mine|my (?:own )?\w+(?: \w+)?) (?:just )?(?:runs|works|is|does) (?:fine|well|ok"
    r"|okay|great|perfectly|without|happily)\b",
    r"\b(?:mine|ours|my (?:own )?\w+) (?:[\w-]+ ){0,6}?(?:without (?:a |any )?(?:problem|issue"
    r"|error|trouble|hitch)s?|at \d+(?:\.\d+)? ?(?:fps|frames)|just fine)\b"
    r"|\b(?:while|whereas|and) (?:mine|ours) (?:[\w-]+ ){0,6}?(?:runs|works)(?=\W*$)",
    r"\b(?:on|with) (?:my|our) (?:\w+ )?\w+,? (?:it|this|that|everything|all) (?:works|runs|is"
    r" fine)\b",
    r"(?<!nothing )(?<!never )\b(?:works|runs) (?:fine |well |great |perfectly )?(?:for me"
    r"|here|on my)\b(?! (?:n?either|only))|\b(?:everything|all) (?:is|runs|works) (?:fine|well"
    r"|good|green|ok|okay)\b|\bours (?:is|runs|works|passes) ?(?:fine|green|well|ok|okay)?\b"
    r"|\b(?:my|our) \w+ (?:does not|doesn['\u2019]t|never) (?:print|show|say|get|do|have)s?"
    r" (?:it|that|this|so)\b(?! (?:any|when|if|but))|\bfor me,? .{0,40}\b(?:works|runs|is)"
    r" ?(?:fine|well|ok)?\b|\bfor me,? .{0,40}\bfine\b",
    r"\b(?:only|just|merely) (?:writing|translating|documenting|asking (?!for)|curious|collecting"
    r"|teaching|write|translate|document|collect|ask(?! for))\b|\bout of curiosity\b|\bno (?:real"
    r" )?(?:error|problem|issue|failure)s? (?:here|of mine|on my side)\b|\bhypothetical\b",
    r"\b(?:nie|noch nicht|noch nie|nicht selbst) (?:gehabt|gesehen|bekommen|erlebt)\b|\b(?:bei"
    r" mir|hier) (?:läuft|geht|funktioniert)\b(?! (?:nicht|gar|kein|nur))|\bmein\w* (?:läuft"
    r"|geht|funktioniert)\b(?! (?:nicht|gar|kein|nur))|\b(?:hatte|habe) ich (?:das )?(?:noch"
    r" )?nie\b|\b(?:schreibe|übersetze|frage) nur\b|\bnur aus (?:neugier|interesse)\b",
    r"\b(?:le mien|la mienne|les miens|le nôtre) (?:fonctionne|marche)\w*\b(?! pas)",
    r"\bje n['\u2019]ai jamais\b|\bchez moi,? (?:ça|tout|cela) (?:marche|fonctionne)\b(?! pas)"
    r"|\bpar (?:simple )?curiosité\b|\bj['\u2019]écris (?:juste|seulement)\b|\bje (?:ne fais"
    r" que|traduis)\b",
    r"\b(?:yo )?nunca (?:lo )?(?:he|tuve|me ha)\b|\b(?:a mí|en mi \w+|el mío),? (?:me"
    r" )?(?:todo )?(?:funciona|va bien)\b|\bpor curiosidad\b|\bsólo (?:escribo|traduzco"
    r"|pregunto)\b|\bsolo (?:escribo|traduzco|pregunto)\b",
    r"\b(?:eu )?nunca (?:tive|vi|recebi|aconteceu comigo)\b|\b(?:comigo|aqui|no meu(?: \w+)?|o"
    r" meu),? (?:tudo )?(?:funciona|roda)\b|\bsó (?:estou )?(?:escrevendo|traduzindo"
    r"|perguntando)\b",
    r"\b(?:io )?non l['\u2019]ho mai\b|\b(?:da me|il mio|sul mio(?: \w+)?),? (?:tutto"
    r" )?(?:funziona|va)\b|\bper curiosità\b|\bscrivo solo\b|\bsto solo\b",
    r"我(?:自己)?(?:从来?|还|从)?(?:没有?|未)(?:遇到|见|出现)|我(?:这里|这边|的)?(?:一切)?(?:正常|没问题)|只是(?:好奇|在写|写文档|问)",
    r"(?:私|こちら|手元).{0,12}(?:問題なく|正常|動いてい|出たことが?な|経験がな|出ません)|興味本位",
    r"\b(?:bij (?:mij|ons)|de mijne|mijn (?:eigen )?\w+),? (?:werkt|draait|loopt"
    r"|doet)\b(?! (?:niet|het niet|geen|alleen|ook))|\b(?:werkt|draait|loopt) (?:het "
    r"|alles )?(?:bij (?:mij|ons)|hier) (?:prima|goed|gewoon)\b|\bik heb (?:dit|dat"
    r"|het) (?:zelf )?nooit\b|\buit nieuwsgierigheid\b|\bik (?:schrijf|vertaal"
    r"|vraag) (?:dit )?alleen\b",
    r"\bu (?:mnie|nas),? (?:wszystko )?(?:działa|jest (?:dobrze|ok))\b(?! tylko)"
    r"|(?<!nie )\b(?:mój|moja|moje) \w+ działa\b|\bnigdy (?:tego "
    r"|takiego \w+ )?nie (?:mia|widzia|spotka)ł[ea]m\b|\bz ciekawości\b|\btylko (?:piszę"
    r"|tłumaczę|pytam)\b",
    r"\bу (?:меня|нас)(?: самого| самой)?,? (?:всё |все )?(?:работает|нормально|хорошо"
    r"|в порядке)\b(?! только)|\b(?:мой|моя|моё|мое) \w+ работает\b(?! только)"
    r"|\bникогда (?:такого |этого |такой \w+ )?не (?:было|видел\w?|встречал\w?)\b"
    r"|\bиз любопытства\b|\bпросто (?:любопытно|интересно|пишу|перевожу)\b",
    r"\bbende (?:ise )?(?:her şey )?(?:çalışıyor|sorun yok|sorunsuz)\b"
    r"|\bbenim\w* \w+ (?:sorunsuz )?çalışıyor\b|\b(?:hiç|asla) (?:görmedim|almadım"
    r"|yaşamadım|karşılaşmadım)\b|\bmerakımdan\b|\bsadece merak\b",
    r"(?:제|저|저희|우리)(?: ?(?:것|쪽|장비|환경|파이|보드))?(?:은|는|에서는) .{0,12}"
    r"(?:정상|잘 (?:됩니다|돼요|되는|동작"
    r"|작동)|문제(?:가|는)? 없)|(?:겪은|본) 적(?:이|은)? 없|(?:단순히|그냥) 궁금",
)
#: Somebody is asked whether they have it.
ASKED_OF_YOU = any_of(
    r"\bdid you (?:see|get|have)\b(?!.*\b(?:too|also|as well)\b)"
    r"|\bdo(?:es)? your \w+ (?:contain|show|print|say|have)\b"
    r"|\bdo you (?:see|get|have) (?:this|these|the following|something like)\b"
    r"(?!.*\b(?:too|also|as well)\b)",
)
#: The writer has what somebody else showed.
SAME = any_of(
    r"\bsame (?:here|issue|problem|error|thing|message|for me|behaviou?r|for us)\b|\bme too\b"
    r"|^\W*\+1\b|\bsame (?:as|like) (?:(?-i:@?[A-Z]\w+)|him|her|above|the (?:poster|op))\b"
    r"|\bexactly (?:this|that|the same)\b|\b(?:i|we) (?:also|too) (?:have|get|see|got)\b"
    r"|\b(?:mine|my \w+) too\b|\bso do (?:I|we)\b",
    r"\b(?:(?:das)?selbe|(?:das )?gleiche?s?) (?:fehler|problem|meldung|hier|bei mir|wie)\b"
    r"|\bbei mir (?:auch|genauso|ebenso|dasselbe|das gleiche)\b|\bich auch\b",
    r"\bmême (?:erreur|problème|chose|souci)\b|\bmoi aussi\b|\bidem\b|\bpareil\b",
    r"\b(?:el |lo )?mismo(?: error| problema| que|$)\b|\byo también\b|\ba mí también\b|\bigual"
    r" que|\bmesm[oa] (?:erro|problema|coisa)\b|\beu também\b|\bcomigo também\b",
    r"\bstess[oa] (?:errore|problema|cosa)\b|\banche (?:io|a me)\b",
    r"同样的?|我也|一样的(?:问题|错)|同じ(?:エラー|問題|症状)|私も",
    r"\bzelfde (?:fout|probleem|melding|hier)\b|\bik ook\b|\bbij mij ook\b|\b(?:ten"
    r"|taki) sam (?:błąd|problem)\b|\bto samo\b|\bja też\b|\bu mnie też\b",
    r"\b(?:та|такая) же (?:ошибка|проблема)\b|\bто же самое\b|\bтоже самое\b|\b(?:у меня"
    r"|я) тоже\b|\baynı (?:hata|sorun|şey|problem)\w*|\b(?:ben|bende) de\b|저도|저희도|(?:같은"
    r"|동일한) (?:오류|에러|문제|증상)",
)
#: One of these is in a sentence of each kind; without any there is nothing to decide.
SIGN = any_of(*stories.SIGNS, OTHER.pattern, EXAMPLE.pattern, ASKED_OF_YOU.pattern)


def is_own(line: str) -> bool:
    """Tell whether a writer says in ``line`` that the failure is theirs: they get it, or it comes
    when they do something."""
    if stories.is_assumed(line):
        return False
    own_step = stories.CONDITIONAL.search(line) is not None and _MINE.search(line) is not None
    return own_step or _OWN.search(line) is not None


def is_conditional(line: str) -> bool:
    """Tell whether what follows comes under a condition that is none of the writer's own."""
    return (
        stories.CONDITIONAL.search(line) is not None
        and stories.SAYS.search(line) is not None
        and _MINE.search(line) is None
        and stories.ASKED_FOR.search(line) is None
    )


def is_healthy(line: str) -> bool:
    """Tell whether a writer's own machine is well, or never showed it, with no "but" behind."""
    healthy = _HEALTHY.search(line)
    return healthy is not None and BUT.search(line[healthy.end() :]) is None


def is_solved_edit(line: str) -> bool:
    """Tell whether an edit says that it is over, and nothing of another failure."""
    return stories.SOLVED_EDIT.search(line) is not None and not (is_own(line) and BUT.search(line))


def is_of_another(line: str) -> bool:
    """Tell whether one sentence says that another's machine has it, and the writer's is well."""
    return OTHER.search(line) is not None and is_healthy(line)


def says_now(line: str) -> bool:
    """Tell whether ``line`` turns to what a program says by now, and not that it is the same."""
    return (
        stories.SAYS_NOW.search(line) is not None
        and not is_back(line)
        and SAME.search(line) is None
    )
