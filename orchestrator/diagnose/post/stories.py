"""When people say in thirteen languages that a failure was: supposed, before, over, back again.

English, German, French, Spanish, Portuguese, Italian, Chinese, Japanese, Dutch, Polish, Russian,
Turkish and Korean. Whose the failure is
:mod:`voices` tells; :mod:`reported` decides what follows of both.
"""

# The letters of Russian and Turkish are meant.
# ruff: noqa: RUF001

from __future__ import annotations

import re


def any_of(*parts: str) -> re.Pattern[str]:
    """Return what matches where one of ``parts`` does, in small letters or capitals."""
    return re.compile("|".join(parts), re.IGNORECASE)


#: A failure came again, or stayed.
_BACK = any_of(
    r"\b(?:it(?:['\u2019]s| is) back|came back|(?<!works )(?<!work )(?<!working )(?<!running"
    r" )(?<!runs )(?<!fine )again|still (?:not|fails?|there|the same|broken)|not (?:yet"
    r" )?(?:solved|fixed|resolved)|unsolved|reopened|spoke too soon|too early)\b",
    r"\b(?:wieder da|immer noch|doch nicht|noch nicht gelöst|zu früh gefreut)\b",
    r"\b(?:toujours (?:pas|là|le même)|pas (?:encore )?résolu|est revenue?)\b",
    r"\b(?:sigue|todavía|aún no|ha vuelto|volvió)\b|\b(?:ainda|continua|voltou)\b|\b(?:ancora"
    r"|non (?:è )?risolto|tornato)\b",
    r"(?:还是|仍然|依然|没有?解决|未解决|又(?:出|报|来))",
    r"(?:まだ|未解決|再発|やはり)",
    r"\b(?:weer terug|nog steeds|toch niet|nog niet opgelost|te vroeg gejuicht|wrócił\w*"
    r"|nadal|wciąż|jednak nie|снова|опять|всё ещё|все еще|по-прежнему|до сих пор"
    r"|вернулась|hâlâ|hala|yine|çözülmedi)\b|\bне реш[её]н\w*|아직|여전히|다시 (?:발생|나[오와]|뜨)"
    r"|해결(?:되지|이 안| 안)",
)
#: A failure that somebody supposes: nobody had it. "I assume" is an opinion.
_ASSUMED = any_of(
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
    r"\bstel(?: dat| je voor|,)|\blaten we aannemen\b|\btheoretische vraag\b"
    r"|\b(?:załóżmy|przypuśćmy|wyobraźmy sobie|wyobraź sobie)\b"
    r"|\b(?:czysto )?teoretyczne pytanie\b|\bpytanie (?:czysto )?teoretyczne\b",
    r"\b(?:предположим|допустим|представим|представьте)\b|\bтеоретическ\w+ вопрос\b"
    r"|\b(?:diyelim ki|varsayalım|farz edelim)\b|\bteorik (?:bir )?soru\b|가정해|가정하"
    r"|이론적인 질문",
)
#: What comes under a condition; of anybody, or of a report's own steps.
CONDITIONAL = any_of(
    r"(?:^\W*|[,.;:] )(?:if|when|whenever|as soon as|in case|unless) (?:(?:you|one|your|people"
    r"|users?|someone|somebody|anyone|the|an?|both|there|it|this|that|\w+) )",
    r"\b(?:you|one|users?) (?:will |may |can )?(?:gets?|sees?) (?:this|that|the|it)\b.{0,30}"
    r" (?:if|when|whenever|because|once)\b",
    r"(?:^\W*|[,.;:] )(?:wenn|falls|sobald) ",
    r"(?:^\W*|[,.;:] )(?:si|quand|lorsqu\w*|s['\u2019]il) ?",
    r"(?:^\W*|[,.;:] )(?:si|cuando|se|quando|caso) ",
    r"(?:如果|要是|万一|若)",
    r"(?:もし|場合|たら)",
    r"(?:^\W*|[,.;:] )(?:als|wanneer|zodra|indien|jeśli|jeżeli|gdy|kiedy|если|когда"
    r"|как только|eğer) ",
    r"\b\w+(?:[aeıiuü]rsa[nk]?|[aeıiuü]rse[nk]?|ırsanız|irseniz|arsanız|erseniz|ığında"
    r"|iğinde|uğunda|üğünde)\b",
    r"만약|만일|경우|하면|되면",
)
#: What a program does then, or somebody who sees it.
SAYS = any_of(
    r"\b(?:prints?|says?|shows?|gets?|sees?|seen?|fails?|appears?|reports?|raises?|throws?"
    r"|stops?|complains?|refuses?|reads?|comes?|encounters?|receives?|ends|dies|looks? like)\b",
    r"\b(?:meldet|kommt|erscheint|zeigt|sagt|gibt|bekommt|sieht|steht|schreibt|endet|auftritt)\b",
    r"\b(?:affiche|dit|montre|obtient|obtenez|voi[st]|voyez|appara(?:î|i)t|re(?:ç|c)oi[st]|sort)\b",
    r"\b(?:aparece|sale|muestra|dice|imprime|ve|ves|obtiene|da|recibe|mostra|diz|receber?|vê"
    r"|dá|ver|vir|appare|dice|stampa|vede|riceve|esce|compare)\b",
    r"报|显示|出现|提示|看到|遇到|出る|出た|表示",
    r"\b(?:meldt|zegt|toont|verschijnt|krijgt|ziet|komt|stopt|pojawia|wyświetla|pokazuje"
    r"|zwraca|wyskakuje|widzisz|zobaczysz|dostaniesz|пишет|говорит|выдаёт|выдает"
    r"|показывает|появляется|появится|возникает|вылетает|видите|увидите|падает|diyor"
    r"|veriyor|gösteriyor|çıkıyor|görürseniz|alırsanız|çıkarsa)\b",
    r"나오|나온|뜨면|뜨는|발생|표시|보이|출력",
)
#: What a form asks its writer for.
ASKED_FOR = any_of(
    r"\b(?:please|paste|provide|attach|include|add|share|applicable|possible|bitte"
    r"|s['\u2019]il (?:vous|te) pla(?:î|i)t|por favor|per favore)\b|请|ください",
    r"\b(?:alsjeblieft|alstublieft|proszę|пожалуйста|lütfen)\b|주세요|바랍니다|부탁",
)
#: What one does then.
_ADVICE = any_of(
    r"\b(?:in (?:that|this|such an?) case|then (?:you|just|simply|please|re\w+|check|try|run"
    r"|install|update|do)\b|(?:you|one) (?:should|must|need to|have to)|make sure|the (?:fix"
    r"|solution|remedy) is)\b|^\W*to (?:fix|solve|resolve) (?:this|that|it)\b"
    r"|^\W*re(?:install|build|load) [\w.-]+\W*$"
    r"|^\W*(?:re(?:install|boot|start|load|build)|check|install|update|upgrade|run|try|delete"
    r"|remove|download|stop|close) (?:the|your|both|it|them|again|with|all|a|an|any"
    r"|every)\b(?![^.]{0,30}:)|^\W*re(?:boot|start)\W*$",
    r"\b(?:in (?:dem|diesem) fall|dann (?:muss|sollte|hilft|einfach|bitte)|(?:man|du|ihr)"
    r" (?:muss|musst|müsst|sollte)\w*|abhilfe)\b",
    r"\b(?:dans ce cas|alors il (?:faut|suffit)|il (?:faut|suffit)|en ese caso|entonces|hay"
    r" que|nesse caso|então|basta|in (?:tal|questo|quel) caso|allora|bisogna)\b",
    r"(?:请|就需要|需要|应该|此时)|(?:してください|必要があ|ましょう)",
    r"\b(?:in dat geval|dan (?:moet|kun|helpt)|je (?:moet|kunt)|(?:de|een) oplossing is"
    r"|w takim (?:przypadku|razie)|wtedy|należy|trzeba|wystarczy)\b",
    r"\b(?:в (?:этом|таком) случае|тогда|нужно|надо|следует|достаточно)\b"
    r"|\b(?:bu durumda|o zaman|gerekir|yeterli(?:dir)?)\b"
    r"|하세요|하십시오|하시면 됩니다|해야 합니다",
)
#: A change, or a list of changes, that deals with it.
DEALT_WITH = any_of(
    r"\bthis (?:pr|mr|pull request|merge request|patch|commit|change) (?:adds|catches|handles"
    r"|fixes|explains|documents|shows|detects|improves|checks|tests|removes|prevents|avoids)\b",
    r"^\W*(?:bug ?)?fix(?:ed|es)?(?: #?\d+)?: |^\W*[-*•] (?:bug ?)?fix(?:ed|es)?\b",
    r"^\W*[-*•] (?:behoben|corrigé|corregido|corrigido|corretto|修复|修正)|^\W*修复[:\uff1a]",
)
#: What the writer had before, up to a time that is named, or at a time, in a version, on a system
#: that is no more.
WAS = any_of(
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
    r"\b(?:(?:on|in) the (?:first day|beginning)|last (?:week|month|year|time|night|\w+day)|(?:a"
    r"|two|three|some|a few|\d+) (?:day|week|month)s? ago)\b.{0,40}\b(?:I|we|it|there|the \w+)"
    r" (?:got|saw|had|was|were|said|printed|showed)\b(?! no(?:ne|thing)?\b)",
    r"\b(?:in|with|on|under) (?:the (?:old|former|previous|first|older) \w+|(?:version |release "
    r"|kernel |v)?\d+\.\d+\S*),? (?:I|we|it|there|the \w+) (?:always |once )?(?:got|saw|had|was"
    r"|were|said|printed|showed)\b(?! no(?:ne|thing)?\b)",
    r"\b(?:letzte[nrs]? \w+|damals|(?:unter|in) (?:version )?\d+\.\d+\S*|(?:mit|unter) (?:dem|der)"
    r" (?:alten|vorigen) \w+)\b.{0,40}\b(?:kam|hatten?|bekam|gab|stand|erschien"
    r"|meldete)\b(?! kein)",
    r"\b(?:(?:la semaine|l['\u2019]année) dernière|le mois dernier|\w+di dernier|avec"
    r" l['\u2019]ancien\w* \w+|(?:en|sous) (?:version )?\d+\.\d+\S*)\b.{0,60}\b(?:avais|avait"
    r"|avions|obtenais|disait|affichait)\b(?! pas)",
    r"\b(?:(?:la semana|el \w+) pasad[ao]|con la \w+ (?:antigua|vieja|anterior)|en (?:la (?:versión"
    r" )?)?\d+\.\d+\S*|antes de \w+)\b.{0,60}\b(?:decía|salía|aparecía|tenía(?:mos)?|daba"
    r"|mostraba)\b",
    r"\b(?:(?:semana|mês|ano) passad[ao]|com a \w+ (?:antiga|velha|anterior)|na (?:versão"
    r" )?\d+\.\d+\S*|antes de \w+)\b.{0,60}\b(?:dizia|aparecia|tinha(?:mos)?|dava|mostrava)\b",
    r"\b(?:la settimana scorsa|il mese scorso|con la vecchia \w+|prima di \w+)\b.{0,60}\b(?:diceva"
    r"|usciva|avevo|appariva|dava|mostrava)\b",
    r"\b(?:vroeger|eerst|voorheen|gisteren|eerder|vorige (?:week|maand)|tot gisteren"
    r"|voor de update)\b.{0,60}\b(?:kreeg|had|kwam|gaf|stond|zag)\b|\b(?:wcześniej"
    r"|wczoraj|przedtem|poprzednio|na początku|w zeszłym \w+"
    r"|przed aktualizacją)\b.{0,60}\b(?:mia|by|dostawa|dosta|wyskakiwa|pojawia)(?:ł"
    r"|ł[aeo]m?)\b",
    r"\b(?:раньше|вчера|до этого|сначала|прежде|на прошлой неделе|до (?:обновления"
    r"|переустановки))\b.{0,60}\b(?:был[ао]?|получал\w?|выдавал\w*|появлял\w*"
    r"|возникал\w*|вылетал\w*)(?!\w)",
    r"\b(?:önceden|dün|daha önce|başta|geçen (?:hafta|ay)"
    r"|eskiden)\b.{0,60}\b(?:alıyordum|vardı|veriyordu|çıkıyordu|aldım|gördüm)\b|(?:어제"
    r"|이전에는|전에는|처음에는|지난주|예전에는).{0,60}(?:났|나왔|발생했|떴|있었)",
)
#: A program says something else by now.
SAYS_NOW = any_of(
    r"^\W*(?:and |but |so )?(?:now|today|since (?:then|that|the \w+)|after (?:that|it|the \w+"
    r"|re\w+ing)|with the new \w+|with \d+\.\d+\S*)\b.{0,60}\b(?:it is|says|prints|shows|gives"
    r"|get|see|have|comes|fails|ends|stops|there is)\b",
    r"\b(?:jetzt|nun|heute|seit(?:dem| dem \w+)?)\b.{0,60}\b(?:kommt|sagt|steht|meldet|zeigt"
    r"|bekomme|erscheint|habe)\b",
    r"\b(?:maintenant|aujourd['\u2019]hui|depuis)\b.{0,60}\b(?:dit|affiche|j['\u2019]ai|obtiens"
    r"|vois|donne)\b",
    r"\b(?:ahora|hoy|desde|agora|hoje)\b.{0,60}\b(?:dice|sale|muestra|aparece|da|tengo|pone|diz"
    r"|mostra|dá|tenho)\b|\b(?:ora|adesso|oggi)\b.{0,60}\b(?:dice|esce|mostra|appare|ho)\b",
    r"现在.{0,12}(?:报|显示|出现|提示)|今は?.{0,12}(?:出|表示)",
    r"\b(?:nu|vandaag|sindsdien|daarna)\b.{0,60}\b(?:zegt|geeft|krijg|meldt|komt)\b"
    r"|\b(?:teraz|dziś|dzisiaj)\b.{0,60}\b(?:mówi|pokazuje|dostaję|wyskakuje|pojawia)\b",
    r"\b(?:теперь|сейчас|сегодня|после этого)\b.{0,60}\b(?:пишет|выдаёт|выдает|получаю"
    r"|вижу|появляется|вылетает)\b|\b(?:şimdi|artık|bugün)\b.{0,60}\b(?:diyor|veriyor"
    r"|alıyorum|çıkıyor)\b|(?:지금은|이제는|오늘은).{0,30}(?:나옵니다|나와요|발생합|뜹니다|나오네요)",
)
#: It does not come any more.
_GONE = any_of(
    r"\b(?:do(?:es)?(?: not|n['\u2019]t) (?:happen|come|appear|occur|show)|no longer (?:happens"
    r"|comes|appears|occurs|shows))(?: up)?(?: any ?more| again)\b|\bno longer (?:happens|comes"
    r"|appears|occurs)\b",
    r"\b(?:kommt|tritt|erscheint) (?:das |es )?nicht mehr\b|\bn['\u2019]apparaît plus\b|\bya no"
    r" (?:sale|aparece)\b|\bnão aparece mais\b|\bnon (?:esce|appare) più\b",
    r"\b(?:verschijnt|komt) (?:het |de fout |die )?niet meer\b"
    r"|\bjuż (?:się )?nie (?:pojawia|wyskakuje|występuje)\b|\bбольше не (?:появляется"
    r"|возникает|вылетает)\b|\bartık (?:çıkmıyor|gelmiyor|görünmüyor)\b|더 ?이상 (?:나오지"
    r"|발생하지|뜨지)",
)
#: And that all is well since.
_WELL_NOW = any_of(
    r"\b(?:now|since|today|meanwhile|by now|finally)\b.{0,40}\b(?:works|runs|working|running"
    r"|fine|well|ok|okay|good)\b(?! (?:only|for|until|sometimes|if|when))",
    r"\b(?:with|on|under|in) (?:the new \w+|(?:version |v)?\d+\.\d+\S*),? (?:it|everything|all)"
    r" (?:runs|works|infers)\b(?! (?:only|for|until|sometimes|if|when))",
    r"\b(?:everything|it all|all of it) (?:now )?(?:works|runs|is fine)\b",
    r"\b(?:seit|jetzt|nun|inzwischen|heute|seitdem)\b.{0,40}\b(?:läuft|geht|funktioniert)(?!"
    r" (?:nicht|nur|auch|es nicht))\b",
    r"\b(?:depuis|maintenant|désormais)\b.{0,40}\b(?:fonctionne|marche)(?! pas)\b",
    r"\b(?:ahora|desde entonces|ya|agora|desde então)\b.{0,30}(?<!no )(?<!não )\b(?:funciona"
    r"|roda|va bien)\b",
    r"\b(?:adesso|ora|da allora)\b.{0,30}(?<!non )\b(?:funziona|va bene)\b",
    r"(?:现在|以后|之后|如今).{0,12}(?:正常|好了|没问题|可以了)(?!吗)",
    r"(?:後は|今は|現在は?).{0,12}(?:正常|問題なく|動いて)",
    r"\b(?:nu|inmiddels|sindsdien|alles|het) (?:\w+ )?(?:werkt|draait"
    r"|loopt)\b(?! (?:niet|nog niet|alleen|maar))|\b(?:werkt|draait|loopt) (?:alles "
    r"|het )?(?:nu|weer)\b(?! (?:niet|ook niet))|\b(?:teraz|już"
    r"|wszystko)\b.{0,30}(?<!nie )\b(?:działa|jest (?:ok|dobrze))\b(?! tylko)",
    r"\b(?:теперь|сейчас|уже|всё|все|с тех пор)\b.{0,30}(?<!не )\b(?:работает|заработало"
    r"|нормально|в порядке)\b(?! только)|\b(?:şimdi|artık"
    r"|her şey)\b.{0,30}\b(?:çalışıyor|düzeldi|sorunsuz)\b",
    r"(?:지금은|이제는?|현재는?|이후로?는?).{0,16}"
    r"(?:잘 (?:됩니다|돼요|되고|동작|작동)|정상|문제(?:가|는)? 없)",
)
_NOT_WELL = any_of(
    r"\b(?:nothing|same|never|not|n['\u2019]t|although|nichts|gleiche|dasselbe|rien|même|nada"
    r"|mismo|mesmo|niente|stesso)\b",
    r"还是|一样|没用|同じ",
    r"\b(?:niets|hetzelfde|nooit|niet|nic|nie|nigdy|не|ничего|никогда|hiçbir|aynı"
    r"|değil)\b|같은|안 ",
)
_SOLVED = (
    r"(?:solved|resolved|fixed|works now|working now|gelöst|geloest|behoben|erledigt|résolue?"
    r"|réglée?|resuelt[oa]|solucionad[oa]|arreglad[oa]|resolvid[oa]|corrigid[oa]|risolt[oa]"
    r"|opgelost|verholpen|rozwiązan[aeyo]|naprawion[aeyo]|решен[ао]|решено|исправлен[ао]|çözüldü)"
)
_EDIT = (
    r"(?:edit\w*|update\w*|upd|nachtrag|bearbeitet|édit\w*|mise à jour|edición|editado"
    r"|actualización|edição|atualização|modifica|aggiornamento|aanvulling|edycja|aktualizacja|правка"
    r"|обновлено|апд|düzenleme|güncelleme)"
)
#: What people put before a sentence, and a colon behind it.
LABEL = any_of(
    rf"^\W*{_EDIT}\b",
    r"^\W*(?:ps|p\.s\.|note|solved|resolved|question|frage|hinweis)\b",
)
#: An edit that says it is over.
SOLVED_EDIT = any_of(
    rf"^\W*{_EDIT}\b[^.:!]{{0,20}}[\s:.,\]*-]+(?:\W|it is |it's |this is |now |ist |das ist |es"
    rf" |est |c'est |está |è |problem |problema )*{_SOLVED}",
    r"(?:编辑|更新|追記|更新|追记|补充)\W*(?:问题)?(?:已经?|自己)?(?:解决|解決|搞定)(?!していません)",
)
#: Words by which an old message is kept for others.
_KEPT = any_of(
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
    r"留给(?:后人|后来|其他|搜索)|留作?(?:记录|纪念)|(?:記録として|備忘|検索する人).{0,20}(?:残|掲)",
    r"\b(?:old|original) (?:post|question|message|error|log|text)(?: \w+)? (?:below|follows"
    r"|above)\b",
)
#: What is over, by the same sentence.
_OLD = any_of(
    rf"\b{_SOLVED}\b",
    r"\b(?:old|original|former|earlier)\b",
)
#: For whom an old message is kept.
_FOR_OTHERS = any_of(
    r"\bfor (?:people|anyone|those|others|everyone|everybody|whoever)(?: else)? (?:who|that|to"
    r"|with)? ?(?:may |might |also |later )?(?:search|googl|find|land|stumbl|com(?:e|es|ing)"
    r" (?:here|across|later))\w*|\bfor (?:posterity|future (?:readers|reference|visitors)"
    r"|search engines|the record)\b|\bso (?:that )?others (?:can )?find\b",
)
_OVER = any_of(rf"\b{_SOLVED}\b", _WELL_NOW.pattern, _GONE.pattern)
_UNSOLVED = any_of(
    r"\b(?:not|never|un|isn['\u2019]t|half|partly|nicht|noch|kaum|pas|no|não|non|sin|niet|nie|не"
    rf"|sem)[ -]?(?:\w+ ){{0,2}}{_SOLVED}|{_SOLVED}\?",
    r"未解|没有?解",
)
#: Words by which a sentence turns to the other side: "it works there, but ...".
BUT = any_of(
    r"\b(?:but|however|yet|except|until|aber|jedoch|doch|außer|mais|sauf|pero|salvo|mas|porém"
    r"|però|tranne)\b|但|只是|不过|しかし|ですが|けど",
    r"\b(?:maar|echter|behalve|ale|jednak|oprócz|но|однако|кроме|ama|fakat|ancak"
    r"|hariç)\b|하지만|그런데|그러나",
)
#: Between two sentences of a line.
_SENTENCES = re.compile(r"(?<=[.!?;\u3002]) +(?=[A-Z(\u00c0-\u00dd])")
#: One of these is in a sentence of each kind; without any there is nothing to decide.
SIGNS = (
    _ASSUMED.pattern,
    CONDITIONAL.pattern,
    DEALT_WITH.pattern,
    WAS.pattern,
    SOLVED_EDIT.pattern,
    _KEPT.pattern,
    _FOR_OTHERS.pattern,
)


def is_back(line: str) -> bool:
    """Tell whether it came again, or stayed."""
    return _BACK.search(line) is not None or _UNSOLVED.search(line) is not None


def is_assumed(line: str) -> bool:
    """Tell whether somebody supposes a failure that nobody had."""
    return _ASSUMED.search(line) is not None


def is_advice(line: str) -> bool:
    """Tell whether ``line`` says what one does about a failure, and does not ask it."""
    return _ADVICE.search(line) is not None and line.rstrip()[-1:] not in {"?", "\uff1f"}


def is_of_before(line: str) -> bool:
    """Tell whether a writer tells of what came before something was done."""
    return WAS.search(line) is not None and BUT.search(line) is None


def is_well_now(line: str) -> bool:
    """Tell whether all is well since, with no "but" behind."""
    gone = _GONE.search(line)
    if gone is not None:
        return BUT.search(line[gone.end() :]) is None
    well = _WELL_NOW.search(line)
    if well is None or is_back(line) or _NOT_WELL.search(line) is not None:
        return False
    return BUT.search(line[well.end() :]) is None


def is_over_by_now(line: str) -> bool:
    """Tell whether ``line`` says what was before, and in a later sentence that all is well."""
    parts = _SENTENCES.split(line)
    before = next((at for at, part in enumerate(parts) if is_of_before(part)), len(parts))
    return any(is_well_now(part) for part in parts[before + 1 :])


def behind_end(line: str) -> str | None:
    """Return what stands behind the words by which a sentence about before says that it is over;
    ``None`` where it does not."""
    was = WAS.search(line)
    if was is None or is_back(line):
        return None
    over = _OVER.search(line, was.end())
    return None if over is None else line[over.end() :]


def is_kept(line: str) -> bool:
    """Tell whether an old message is kept for others."""
    return _KEPT.search(line) is not None or (
        _FOR_OTHERS.search(line) is not None and _OLD.search(line) is not None
    )
