"""How people say in seven languages whose a failure is: supposed, another's, an example, over, own.

English, German, French, Spanish, Portuguese, Italian, Chinese and Japanese. Each list is one kind
of thing that a sentence says; :mod:`reported` decides what follows.
"""

from __future__ import annotations

import re


def _any(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.IGNORECASE)


#: The writer has the failure, by a sentence of now.
_OWN = _any(
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
#: And it came again, or stayed.
_NOW = _any(
    r"\b(?:it(?:['\u2019]s| is) back|came back|(?<!works )(?<!work )(?<!working )(?<!running"
    r" )(?<!runs )(?<!fine )again|still (?:not|fails?|there|the same|broken)|not (?:yet"
    r" )?(?:solved|fixed|resolved)|unsolved|reopened|spoke too soon|too early)\b",
    r"\b(?:wieder da|immer noch|doch nicht|noch nicht gelöst|zu früh gefreut)\b",
    r"\b(?:toujours (?:pas|là|le même)|pas (?:encore )?résolu|est revenue?)\b",
    r"\b(?:sigue|todavía|aún no|ha vuelto|volvió)\b|\b(?:ainda|continua|voltou)\b|\b(?:ancora"
    r"|non (?:è )?risolto|tornato)\b",
    r"(?:还是|仍然|依然|没有?解决|未解决|又(?:出|报|来))",
    r"(?:まだ|未解決|再発|やはり)",
)
#: Words by which a sentence turns to the other side: "it works there, but ...".
_BUT = _any(
    r"\b(?:but|however|yet|except|until|aber|jedoch|doch|außer|mais|sauf|pero|salvo|mas|porém"
    r"|però|tranne)\b|但|只是|不过|しかし|ですが|けど",
)
#: A failure that somebody supposes: nobody had it. "I assume" is an opinion.
_ASSUMED = _any(
    r"^\W*(?:(?:now|so|ok|okay|well|just|please|\w+ question)\W+|.{0,60}[:.;?!] )?(?:let us "
    r"|let['\u2019]?s )?(?:suppose|assume|imagine|pretend)\b|\blet['\u2019]s say\b"
    r"|\b(?:supposing|assuming) (?:that )?(?:you|one|an?\b|someone|somebody|the user)|\bwhat"
    r" if (?:you|one|an?\b|someone|somebody|the user)|\b(?:hypothetical|theoretical) (?:\w+"
    r" )?(?:question|case|error|failure|example)",
    r"\bangenommen,? (?:man|jemand|ein|der|die|das|du|ihr|ich|es)\b|\bnehmen wir (?:mal )?an\b"
    r"|\bgesetzt den fall\b|\bstell(?:t euch| dir| dir mal) vor\b|\bwas wäre,? wenn\b"
    r"|\btheoretische frage\b",
    r"\b(?:supposons|admettons|imaginons|imaginez)\b|\bquestion théorique\b|\bque se"
    r" passe-t-il si\b",
    r"\b(?:supongamos|supon(?:ga(?:n|mos)?|iendo)|imaginemos|imagina(?:d|te)?|digamos)\b"
    r"|\bpregunta teórica\b",
    r"\b(?:suponha(?:mos|m)?|supondo|imagine(?:mos|m)?)\b|\bpergunta teórica\b",
    r"\b(?:supponiamo|ipotizziamo|immaginiamo|mettiamo che)\b|\bdomanda teorica\b",
    r"(?:假设|假如|假若|设想)",
    r"仮に|仮定|とします(?=\W*$)|想定して",
)
#: What comes under a condition; of anybody, or of a report's own steps.
_CONDITIONAL = _any(
    r"(?:^\W*|[,.;:] )(?:if|when|whenever|as soon as|in case|unless) (?:(?:you|one|your|people"
    r"|users?|someone|somebody|anyone|the|an?|both|there|it|this|that|\w+) )",
    r"\b(?:you|one|users?) (?:will |may |can )?(?:gets?|sees?) (?:this|that|the|it)\b.{0,30}"
    r" (?:if|when|whenever|because|once)\b",
    r"(?:^\W*|[,.;:] )(?:wenn|falls|sobald) ",
    r"(?:^\W*|[,.;:] )(?:si|quand|lorsqu\w*|s['\u2019]il) ?",
    r"(?:^\W*|[,.;:] )(?:si|cuando|se|quando|caso) ",
    r"(?:如果|要是|万一|若)",
    r"(?:もし|場合|たら)",
)
#: What a program does then, or somebody who sees it.
_SAYS = _any(
    r"\b(?:prints?|says?|shows?|gets?|sees?|seen?|fails?|appears?|reports?|raises?|throws?"
    r"|stops?|complains?|refuses?|reads?|comes?|encounters?|receives?|ends|dies|looks? like)\b",
    r"\b(?:meldet|kommt|erscheint|zeigt|sagt|gibt|bekommt|sieht|steht|schreibt|endet"
    r"|auftritt)\b",
    r"\b(?:affiche|dit|montre|obtient|obtenez|voi[st]|voyez|appara(?:î|i)t|re(?:ç|c)oi[st]"
    r"|sort)\b",
    r"\b(?:aparece|sale|muestra|dice|imprime|ve|ves|obtiene|da|recibe|mostra|diz|receber?|vê"
    r"|dá|ver|vir|appare|dice|stampa|vede|riceve|esce|compare)\b",
    r"报|显示|出现|提示|看到|遇到|出る|出た|表示",
)
#: What a form asks its writer for.
_ASKED_FOR = _any(
    r"\b(?:please|paste|provide|attach|include|add|share|applicable|possible|bitte"
    r"|s['\u2019]il (?:vous|te) pla(?:î|i)t|por favor|per favore)\b|请|ください",
)
#: What one does then.
_ADVICE = _any(
    r"\b(?:in (?:that|this|such an?) case|then (?:you|just|simply|please|re\w+|check|try|run"
    r"|install|update|do)\b|(?:you|one) (?:should|must|need to|have to)|make sure|the (?:fix"
    r"|solution|remedy) is)\b|^\W*to (?:fix|solve|resolve) (?:this|that|it)\b"
    r"|^\W*(?:re(?:install|boot|start|load|build)|check|install|update|upgrade|run|try|delete"
    r"|remove|download|stop|close) (?:the|your|both|it|them|again|with|all|a|an|any"
    r"|every)\b(?![^.]{0,30}:)|^\W*re(?:boot|start)\W*$",
    r"\b(?:in (?:dem|diesem) fall|dann (?:muss|sollte|hilft|einfach|bitte)|(?:man|du|ihr)"
    r" (?:muss|musst|müsst|sollte)\w*|abhilfe)\b",
    r"\b(?:dans ce cas|alors il (?:faut|suffit)|il (?:faut|suffit)|en ese caso|entonces|hay"
    r" que|nesse caso|então|basta|in (?:tal|questo|quel) caso|allora|bisogna)\b",
    r"(?:请|就需要|需要|应该|此时)|(?:してください|必要があ|ましょう)",
)
#: A change, or a list of changes, that deals with it.
DEALT_WITH = _any(
    r"\bthis (?:pr|mr|pull request|merge request|patch|commit|change) (?:adds|catches|handles"
    r"|fixes|explains|documents|shows|detects|improves|checks|tests|removes|prevents|avoids)\b",
    r"^\W*(?:bug ?)?fix(?:ed|es)?(?: #?\d+)?: |^\W*[-*•] (?:bug ?)?fix(?:ed|es)?\b",
    r"^\W*[-*•] (?:behoben|corrigé|corregido|corrigido|corretto|修复|修正)|^\W*修复[:\uff1a]",
)
#: What the writer had before, up to a time that is named.
_WAS = _any(
    r"\b(?:before (?:the|that|this|an?|my|I|we)\b.{0,40}|yesterday|previously|earlier|formerly"
    r"|at first|initially|until (?:last|the|this|yesterday)\b.{0,30}|for (?:weeks|months"
    r"|years)|used to)\b.{0,40}\b(?:I|we|it|there|get|see|was|were)\b",
    r"\b(?:früher|vorher|bisher|anfangs|zuerst|gestern|bis (?:zum|gestern)|vor"
    r" dem)\b.{0,60}\b(?:kam|hatte|bekam|gab|stand|erschien)\b",
    r"\b(?:avant|hier|auparavant|jusqu\w*)\b.{0,60}\b(?:avais|avait|obtenais|apparaissait)\b",
    r"\b(?:antes|ayer|hasta|anteriormente|ontem|até)\b.{0,60}\b(?:salía|aparecía|tenía|daba"
    r"|aparecia|tinha|dava|recebia|vinha)\b",
    r"\b(?:prima|ieri|fino a)\b.{0,60}\b(?:ricevevo|avevo|appariva|usciva|dava)\b",
    r"(?:之前|以前|原来|昨天).{0,20}(?:报|出现|遇到|提示|显示)",
    r"(?:前は|以前|昨日).{0,20}(?:出て|出た|表示)",
)
#: And that all is well since.
_WELL_NOW = _any(
    r"\b(?:now|since|today|meanwhile|by now|finally)\b.{0,40}\b(?:works|runs|working|running"
    r"|fine|well|ok|okay|good)\b(?! (?:only|for|until|sometimes|if|when))",
    r"\b(?:everything|it all|all of it) (?:now )?(?:works|runs|is fine)\b",
    r"\b(?:seit|jetzt|nun|inzwischen|heute|seitdem)\b.{0,40}\b(?:läuft|geht|funktioniert)(?!"
    r" (?:nicht|nur|auch|es nicht))\b",
    r"\b(?:depuis|maintenant|désormais)\b.{0,40}\b(?:fonctionne|marche)(?! pas)\b",
    r"\b(?:ahora|desde entonces|ya|agora|desde então)\b.{0,30}(?<!no )(?<!não )\b(?:funciona"
    r"|roda|va bien)\b",
    r"\b(?:adesso|ora|da allora)\b.{0,30}(?<!non )\b(?:funziona|va bene)\b",
    r"(?:现在|以后|之后|如今).{0,12}(?:正常|好了|没问题|可以了)(?!吗)",
    r"(?:後は|今は|現在は?).{0,12}(?:正常|問題なく|動いて)",
)
_NOT_WELL = _any(
    r"\b(?:nothing|same|never|not|n['\u2019]t|although|nichts|gleiche|dasselbe|rien|même|nada"
    r"|mismo|mesmo|niente|stesso)\b",
    r"还是|一样|没用|同じ",
)
#: Words for a failure.
FAILURE = _any(
    r"\b(?:errors?|fail\w*|crash\w*|problems?|issues?|exceptions?|messages?|trace\w*|stuck)\b",
    r"\b(?:fehler\w*|meldung\w*|absturz|erreurs?|problèmes?|problemas?|mensaj\w*|erros?"
    r"|mensage\w*|errore|errori|problemi?|messaggi\w*)\b",
    r"[错錯]|问题|問題|异常|エラー|报",
)
#: The writer's own condition: "if I run it, it prints ...".
_MINE = _any(
    r"\b(?:I|my|me|we|our|us|mine)\b|\b(?:ich|mein\w*|mir|mich|wir|unser\w*|uns)\b|\b(?:je"
    r"|j['\u2019]\w+|mon|ma|mes|moi|nous|notre)\b|\b(?:yo|mi|mis|nuestr[oa]|nos|me)\b|\b(?:eu"
    r"|meu|minha|nosso|nossa)\b|\b(?:io|mio|mia|noi|nostro)\b",
    r"我|私|僕|自分",
)
#: Somebody else had it.
OTHER = _any(
    r"\b(?:my|a|an|one of (?:my|our)|our|some|another|the|his|her) (?:\w+ )?(?:colleagues?"
    r"|co-?workers?|friends?|customers?|clients?|neighbou?rs?|brother|sister|boss|interns?"
    r"|students?|pupils?|teachers?|users?|readers?|team ?mates?|guy|person|poster|buddy"
    r"|reporter)\b",
    r"\b(?!(?:it|that|here|there|what|this|who|let|he|she|one)['\u2019])\w+['\u2019]s (?:\w+ )?"
    r"(?:box|machine|pi|pc|setup|log|server|laptop|computer|system|hat|board|card|ci|build"
    r"|pipeline)\b",
    r"\b(?:someone|somebody|others?|people|he|she|they) (?:else )?(?:\w+ ){0,6}?(?:had|has|got"
    r"|gets|saw|posted|reported|wrote|ran into|described|sent)\b",
    r"\b(?:on|in|from) (?:the forum|discord|reddit|stack ?overflow|another thread|this thread"
    r"|that thread|an old thread|an? (?:github )?issue|issue #?\d+|slack|the docs)\b",
    r"\b(?:kolleg(?:e|in|en)|freund(?:in)?|kunden?|kundin|nachbar|bekannter?|jemand(?:"
    r" anders)?|ein anderer|im forum|anderer nutzer|chef|student)\b",
    r"\b(?:collègue|ami|amie|client|voisin|quelqu['\u2019]un|sur le forum|un autre"
    r" utilisateur)\b",
    r"\b(?:colega|compañer[oa]|amig[oa]|cliente|vecino|alguien|alguém|vizinho|outro usuário"
    r"|otro usuario|en el foro|no fórum)\b|\b(?:collega|amico|cliente|qualcuno|sul forum)\b",
    r"(?:同事|朋友|客户|别人|有人|网友|论坛|他的|她的)",
    r"(?:同僚|友人|顧客|先輩|他の人|誰か|知人|フォーラム)",
)
#: So long ago, or so plainly another's, that the sentence alone says it.
LONG_AGO = _any(
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
EXAMPLE = _any(
    r"\b(?:something (?:like|similar)|for (?:example|instance)|e\.g\.|(?:an?|this|the"
    r"|following) (?:example|sample)|examples?|looks? like (?:this|so))\b",
    r"\b(?:zum beispiel|z\. ?b\.|beispiel\w*|so etwas wie|etwa so|ungefähr)\b",
    r"\b(?:par exemple|exemple|quelque chose comme|du genre|por ejemplo|ejemplo|algo (?:así"
    r"|como)|por exemplo|exemplo|ad esempio|per esempio|esempio|qualcosa (?:come|del"
    r" genere))\b",
    r"(?:例(?:として|を|の|文)|例如|比如|示例|例えば|たとえば|のような)",
)
#: The writer's own machine is well, or never had it.
_HEALTHY = _any(
    r"\b(?:I|we)(?:['\u2019]ve| have)? (?:myself )?never (?:had|seen|got|hit|met"
    r"|experienced)\b",
    r"\b(?:I|we) (?:(?:do|did) not|don['\u2019]t|didn['\u2019]t|haven['\u2019]t|have not)"
    r" (?:had|have|seen|hit|get|got|see) (?:that|this|it|any|the (?:error|problem|issue))(?:"
    r" (?:error|problem|issue))?(?: myself| yet| here| at all| so far)*(?=\W*$|[.,;!)] )",
    r"\b(?:mine|my (?:own )?\w+(?: \w+)?) (?:just )?(?:runs|works|is|does) (?:fine|well|ok"
    r"|okay|great|perfectly|without|happily)\b",
    r"\b(?:on|with) (?:my|our) (?:\w+ )?\w+,? (?:it|this|that|everything|all) (?:works|runs|is"
    r" fine)\b",
    r"(?<!nothing )(?<!never )\b(?:works|runs) (?:fine |well |great |perfectly )?(?:for me"
    r"|here|on my)\b(?! (?:n?either|only))|\b(?:everything|all) (?:is|runs|works) (?:fine|well"
    r"|good|green|ok|okay)\b|\bours (?:is|runs|works|passes) ?(?:fine|green|well|ok|okay)?\b"
    r"|\b(?:my|our) \w+ (?:does not|doesn['\u2019]t|never) (?:print|show|say|get|do|have)s?"
    r" (?:it|that|this|so)\b(?! (?:any|when|if|but))|\bfor me,? .{0,40}\b(?:works|runs|is)"
    r" ?(?:fine|well|ok)?\b|\bfor me,? .{0,40}\bfine\b",
    r"\b(?:only|just|merely) (?:writing|translating|documenting|asking (?!for)|curious"
    r"|collecting|teaching|write|translate|document|collect|ask(?! for))\b|\bout of"
    r" curiosity\b|\bno (?:real )?(?:error|problem|issue|failure)s? (?:here|of mine|on my"
    r" side)\b|\bhypothetical\b",
    r"\b(?:nie|noch nicht|noch nie|nicht selbst) (?:gehabt|gesehen|bekommen|erlebt)\b|\b(?:bei"
    r" mir|hier) (?:läuft|geht|funktioniert)\b(?! (?:nicht|gar|kein|nur))|\bmein\w* (?:läuft"
    r"|geht|funktioniert)\b(?! (?:nicht|gar|kein|nur))|\b(?:hatte|habe) ich (?:das )?(?:noch"
    r" )?nie\b|\b(?:schreibe|übersetze|frage) nur\b|\bnur aus (?:neugier|interesse)\b",
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
    r"我(?:自己)?(?:从来?|还|从)?(?:没有?|未)(?:遇到|见|出现)|我(?:这里|这边"
    r"|的)?(?:一切)?(?:正常|没问题)|只是(?:好奇|在写|写文档|问)",
    r"(?:私|こちら|手元).{0,12}(?:問題なく|正常|動いてい|出たことが?な|経験がな|出ません)"
    r"|興味本位",
)
#: The writer has what somebody else showed.
SAME = _any(
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
_SOLVED = (
    r"(?:solved|resolved|fixed|works now|working now|gelöst|geloest|behoben|erledigt|résolue?"
    r"|réglée?|resuelt[oa]|solucionad[oa]|arreglad[oa]|resolvid[oa]|corrigid[oa]|risolt[oa])"
)
_EDIT = (
    r"(?:edit\w*|update\w*|upd|nachtrag|bearbeitet|édit\w*|mise à jour|edición|editado"
    r"|actualización|edição|atualização|modifica|aggiornamento)"
)
#: What people put before a sentence, and a colon behind it.
LABEL = _any(
    rf"^\W*{_EDIT}\b",
    r"^\W*(?:ps|p\.s\.|note|solved|resolved|question|frage|hinweis)\b",
)
#: An edit that says it is over.
_SOLVED_EDIT = _any(
    rf"^\W*{_EDIT}\b[^.:!]{{0,20}}[\s:.,\]*-]+(?:\W|it is |it's |this is |now |ist |das ist |es"
    rf" |est |c'est |está |è |problem |problema )*{_SOLVED}",
    r"(?:编辑|更新|追記|更新|追记|补充)\W*(?:问题)?(?:已经?|自己)?(?:解决|解決"
    r"|搞定)(?!していません)",
)
#: Words by which an old message is kept for others.
_KEPT = _any(
    r"\b(?:leav|keep)(?:e|ing)? (?:the|this|my) (?:old|original|previous|former|first) (?:\w+"
    r" )?(?:error|log|message|output|post|question|trace\w*)\b",
    r"\b(?:lasse?|behalte?) .{0,30}\b(?:alte|ursprüngliche|frühere|erste)\w* (?:fehler\w*"
    r"|meldung|log)\b|\bfür (?:die )?(?:nachwelt|suchmaschinen|(?:andere|alle|leute),? die"
    r" (?:danach )?suchen)\b",
    r"\bje laisse (?:l['\u2019]|le |la |mon )?(?:ancien\w*|vieux|vieille|première?)\b|\bpour"
    r" (?:la postérité|ceux qui (?:la |le |les )?cherchent)\b",
    r"\bdejo .{0,30}\b(?:antigu[oa]|viej[oa]|original|anterior)\b|\bpara (?:la posteridad"
    r"|quien(?:es)? (?:lo |la )?busquen?)\b",
    r"\bdeixo .{0,30}\b(?:antig[oa]|velh[oa]|original|anterior)\b|\bpara (?:a posteridade|quem"
    r" (?:o |a )?(?:procurar|buscar))\b|\blascio .{0,30}\b(?:vecchi[oa]|original[ei]"
    r"|precedente)\b|\bper (?:chi (?:lo |la )?cerca|i posteri)\b",
    r"留给(?:后人|后来|其他|搜索)|留作?(?:记录|纪念)|(?:記録として|備忘"
    r"|検索する人).{0,20}(?:残|掲)",
    r"\b(?:old|original) (?:post|question|message|error|log|text)(?: \w+)? (?:below|follows"
    r"|above)\b",
)
#: What is over, by the same sentence.
_OLD = _any(
    rf"\b{_SOLVED}\b",
    r"\b(?:old|original|former|earlier)\b",
)
#: For whom an old message is kept.
_FOR_OTHERS = _any(
    r"\bfor (?:people|anyone|those|others|everyone|everybody|whoever)(?: else)? (?:who|that|to"
    r"|with)? ?(?:may |might |also |later )?(?:search|googl|find|land|stumbl|com(?:e|es|ing)"
    r" (?:here|across|later))\w*|\bfor (?:posterity|future (?:readers|reference|visitors)"
    r"|search engines|the record)\b|\bso (?:that )?others (?:can )?find\b",
)
_UNSOLVED = _any(
    r"\b(?:not|never|un|isn['\u2019]t|half|partly|nicht|noch|kaum|pas|no|não|non|sin"
    rf"|sem)[ -]?(?:\w+ ){{0,2}}{_SOLVED}|{_SOLVED}\?",
    r"未解|没有?解",
)
#: One of these is in a sentence of each kind; without any there is nothing to decide.
SIGN = _any(
    _ASSUMED.pattern,
    _CONDITIONAL.pattern,
    DEALT_WITH.pattern,
    _WAS.pattern,
    OTHER.pattern,
    EXAMPLE.pattern,
    _SOLVED_EDIT.pattern,
    _KEPT.pattern,
    _FOR_OTHERS.pattern,
)


def is_own(line: str) -> bool:
    """Tell whether a writer says in ``line`` that the failure is theirs: they get it, or it comes
    when they do something."""
    if _ASSUMED.search(line) is not None:
        return False
    own_step = _CONDITIONAL.search(line) is not None and _MINE.search(line) is not None
    return own_step or _OWN.search(line) is not None


def is_back(line: str) -> bool:
    """Tell whether it came again, or stayed."""
    return _NOW.search(line) is not None or _UNSOLVED.search(line) is not None


def is_assumed(line: str) -> bool:
    """Tell whether somebody supposes a failure that nobody had."""
    return _ASSUMED.search(line) is not None


def is_conditional(line: str) -> bool:
    """Tell whether what follows comes under a condition that is none of the writer's own."""
    return (
        _CONDITIONAL.search(line) is not None
        and _SAYS.search(line) is not None
        and _MINE.search(line) is None
        and _ASKED_FOR.search(line) is None
    )


def is_healthy(line: str) -> bool:
    """Tell whether a writer's own machine is well, or never showed it, with no "but" behind."""
    healthy = _HEALTHY.search(line)
    return healthy is not None and _BUT.search(line[healthy.end() :]) is None


def is_solved_edit(line: str) -> bool:
    """Tell whether an edit says that it is over, and nothing of another failure."""
    return _SOLVED_EDIT.search(line) is not None and not (is_own(line) and _BUT.search(line))


def is_advice(line: str) -> bool:
    """Tell whether ``line`` says what one does about a failure, and does not ask it."""
    return _ADVICE.search(line) is not None and line.rstrip()[-1:] not in {"?", "\uff1f"}


def is_of_before(line: str) -> bool:
    """Tell whether a writer tells of what came before something was done."""
    return _WAS.search(line) is not None and _BUT.search(line) is None


def is_well_now(line: str) -> bool:
    """Tell whether all is well since, with no "but" behind."""
    well = _WELL_NOW.search(line)
    if well is None or is_back(line) or _NOT_WELL.search(line) is not None:
        return False
    return _BUT.search(line[well.end() :]) is None


def is_kept(line: str) -> bool:
    """Tell whether an old message is kept for others."""
    return _KEPT.search(line) is not None or (
        _FOR_OTHERS.search(line) is not None and _OLD.search(line) is not None
    )
