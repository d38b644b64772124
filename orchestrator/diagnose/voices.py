"""Whose people say in eight languages that a failure is: their own, another's, an example's.

English, German, French, Spanish, Portuguese, Italian, Chinese and Japanese. Each list is one kind
of thing that a sentence says; when the failure was :mod:`stories` tells.
"""

from __future__ import annotations

from orchestrator.diagnose import stories
from orchestrator.diagnose.stories import BUT, any_of, is_back

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
)
#: Words for a failure.
FAILURE = any_of(
    r"\b(?:errors?|fail\w*|crash\w*|problems?|issues?|exceptions?|messages?|trace\w*|stuck)\b",
    r"\b(?:fehler\w*|meldung\w*|absturz|erreurs?|problèmes?|problemas?|mensaj\w*|erros?"
    r"|mensage\w*|errore|errori|problemi?|messaggi\w*)\b",
    r"[错錯]|问题|問題|异常|エラー|报",
)
#: The writer's own condition: "if I run it, it prints ...".
_MINE = any_of(
    r"\b(?:I|my|me|we|our|us|mine)\b|\b(?:ich|mein\w*|mir|mich|wir|unser\w*|uns)\b|\b(?:je"
    r"|j['\u2019]\w+|mon|ma|mes|moi|nous|notre)\b|\b(?:yo|mi|mis|nuestr[oa]|nos|me)\b|\b(?:eu"
    r"|meu|minha|nosso|nossa)\b|\b(?:io|mio|mia|noi|nostro)\b",
    r"我|私|僕|自分",
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
)
#: What a sentence shows is one of a kind.
EXAMPLE = any_of(
    r"\b(?:something (?:like|similar)|for (?:example|instance)|e\.g\.|(?:an?|this|the"
    r"|following) (?:example|sample)|examples?|looks? like (?:this|so))\b",
    r"\b(?:zum beispiel|z\. ?b\.|beispiel\w*|so etwas wie|etwa so|ungefähr)\b",
    r"\b(?:par exemple|exemple|quelque chose comme|du genre|por ejemplo|ejemplo|algo (?:así|como)"
    r"|por exemplo|exemplo|ad esempio|per esempio|esempio|qualcosa (?:come|del genere))\b",
    r"(?:例(?:として|を|の|文)|例如|比如|示例|例えば|たとえば|のような)",
)
#: The writer's own machine is well, or never had it.
_HEALTHY = any_of(
    r"\b(?:I|we)(?:['\u2019]ve| have)? (?:myself )?never (?:had|seen|got|hit|met|experienced)\b",
    r"\b(?:I|we) (?:(?:do|did) not|don['\u2019]t|didn['\u2019]t|haven['\u2019]t|have not)"
    r" (?:had|have|seen|hit|get|got|see) (?:that|this|it|any|the (?:error|problem|issue))(?:"
    r" (?:error|problem|issue))?(?: myself| yet| here| at all| so far)*(?=\W*$|[.,;!)] )",
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
)
#: One of these is in a sentence of each kind; without any there is nothing to decide.
SIGN = any_of(*stories.SIGNS, OTHER.pattern, EXAMPLE.pattern)


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
