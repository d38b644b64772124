"""What people say of a message in other languages than English: that it is over, or never came.

The words around a log may raise no certainty. Where a sentence says that a message is gone, that it
did not come, what it means, or asks whether it is that, the message proves nothing.
"""

# The letters of Russian and Turkish are meant.
# ruff: noqa: RUF001

from __future__ import annotations

import re

#: Sentences of a person by which a message is none of what is asked about.
DOUBTFUL = re.compile(
    # German.
    r"^\W*(?:gel(?:ö|oe)st|behoben|erledigt)\b"
    r"|\b(?:ist|sind|war|wurde|hat sich)\b.{0,40}\b(?:behoben|gel(?:ö|oe)st|erledigt"
    r"|verschwunden)\b(?<!nicht behoben)(?<!nicht gelöst)"
    r"|\b(?:tritt|kommt|erscheint|tauch\w+)\b.{0,30}\bnicht mehr\b"
    r"|\b(?:funktioniert|geht|l(?:ä|ae)uft) (?:jetzt|nun|wieder)\b(?! (?:nicht|auch nicht))"
    r"|\bkein(?:e|en|er)? (?:\w+ )?(?:fehler|meldung|problem)\w*\b"
    r"|\b(?:fr(?:ü|ue)her|zuerst|anfangs|vorher) (?:hatte|bekam|kam)\b"
    r"|\bvor (?:dem|der) [\w-]+ (?:kam|hatte|bekam|gab|stand|erschien|sagte)\b"
    r"|\bhabe ich\b.{0,80}\b(?:behoben|gel(?:ö|oe)st|beseitigt|hinbekommen)\b"
    r"|\b(?:seitdem|seither) (?:l(?:ä|ae)uft|geht|funktioniert)\b(?! (?:nichts?|auch))"
    r"|\bich (?:sehe|habe|bekomme) [\"`„“'].*[\"`“”'] .{0,40}\bnicht\b"
    r"|\b(?:das|die|der|diese[rn]?) (?:meldung|fehler|problem)\b.{0,30}\b(?:nicht|nie)\b.{0,20}"
    r"\b(?:gesehen|bekommen|aufgetreten)\b"
    r"|\bbedeutet\b|\bhei(?:ß|ss)t das\b"
    r"|^\W*(?:ist|liegt|kann|k(?:ö|oe)nnte) (?:es|das)\b.*\?"
    # French.
    r"|^\W*(?:résolu|corrigé)\b"
    r"|\b(?:est|a été|sont) (?:maintenant |désormais )?(?:résolue?s?|corrigée?s?)\b"
    r"|\ba disparu\b|\bn['\u2019]appara(?:î|i)t plus\b|\b(?:fonctionne|marche) maintenant\b"
    r"|\bje n['\u2019]ai (?:pas|plus|aucune?) (?:\w+ )?(?:[ld]['\u2019])?(?:erreur|problème)"
    r"|\bavant\b.{0,60}\b(?:j['\u2019]avais|il y avait|ça disait)\b"
    r"|\bc['\u2019]est (?:maintenant |désormais )?(?:réglé|résolu|corrigé)\b"
    r"|\bje ne vois (?:pas|plus) (?:ce|cette|cet|le message|l['\u2019]erreur|[\"`«])"
    r"|\bsignifie\b|\bveut dire\b|^\W*est-ce (?:que c|à cause|parce|dû)"
    # Spanish and Portuguese.
    r"|^\W*(?:resuelto|solucionado|arreglado|resolvido|corrigido)\b"
    r"|\b(?:está|fue|ha sido|quedó|foi|estão) (?:ya |já )?"
    r"(?:resuelt|solucionad|arreglad|resolvid|corrigid)[oa]s?\b"
    r"|\b(?:ha )?desapareci(?:ó|do)\b|\bdesapareceu\b|\bsumiu\b"
    r"|\bya no (?:aparece|sale|me sale|da)\b|\bnão (?:aparece|ocorre|dá) mais\b"
    r"|\b(?:ya|ahora|agora|já) (?:sí )?funciona\b"
    r"|\bno (?:me )?(?:sale|aparece|tengo|hay) ningún (?:error|mensaje|problema)\b"
    r"|\bnão (?:tenho|aparece) nenhuma? (?:erro|mensagem|problema)\b"
    r"|\b(?:antes|anteriormente)\b.{0,60}\b(?:me )?(?:sal(?:í|i)a|aparec(?:í|i)a|daba|dava|vinha)\b"
    r"|\b(?:lo|la|los) (?:arregl|solucion|resolv)(?:é|ó|í|amos|aron)(?!\w)"
    r"|\b(?:resolvi|consertei|corrigi) (?:isso|isto|esse|este|com)\b|\b(?:isso|já) resolvi\b"
    r"|\bno veo (?:ese|este|el) (?:error|mensaje)\b|\bnão vejo (?:esse|este|o) (?:erro|mensagem)\b"
    r"|^\W*[¿]?(?:es|será) porque\b.*\?|^\W*(?:é|será) porque\b.*\?"
    r"|\bsignifica\b|\bquer dizer\b|\bquiere decir\b"
    # Chinese.
    r"|(?<![没未不])(?<!没有)(?:已经?|都)(?:解决|修复|搞定)"
    r"|(?:不再|没再|没有再|没有|沒有|没)(?:出现|出現|报|遇到|看到).{0,80}(?:错|异常|问题)"
    r"|现在(?:可以|能|正常)(?:了|用|运行|工作|跑)|消失了|是什么意思|的意思是"
    r"|是不是因为|是因为.*吗|(?:以前|之前|曾经)我?(?:总是|老是|一直|也|还)?(?:出现|出現|遇到|报|有)过?"
    r"|已经?好了|(?:修好|解决好)了"
    # Japanese.
    r"|(?:解決|解消|修正)(?:しました|した|されました|された|済み)|直りました|治りました"
    r"|(?:出|表示され|発生し)なくな|消え(?:まし)?た|動くようにな"
    r"|という意味|どういう意味|のせいでしょうか|が原因でしょうか"
    # Korean.
    r"|해결(?:되었|됐|됨|했|하였)|사라졌|더 ?이상 (?:나오|발생)|이제 (?:작동|동작|됩니다)"
    r"|무슨 (?:뜻|의미)|(?:오류|에러)\S? (?:나오|발생하)지 않"
    # Dutch.
    r"|^\W*(?:opgelost|verholpen)\b|\b(?:is|zijn|was) (?:nu |inmiddels |al )?(?:opgelost|verholpen"
    r"|verdwenen)\b|\bheb ik\b.{0,60}\b(?:opgelost|verholpen)\b"
    r"|\b(?:komt|verschijnt)\b.{0,30}\bniet meer\b|\bbetekent\b"
    r"|\bik (?:krijg|heb|zie) geen (?:\w+ )?(?:fout|melding|probleem)\w*"
    r"|\b(?:vroeger|eerst|voorheen) (?:kreeg|had)\b|^\W*(?:is|ligt|kan) (?:het|dit)\b.*\?"
    # Polish.
    r"|^\W*(?:rozwiązane|naprawione)\b|\b(?:został\w?|jest|już) (?:rozwiązan|naprawion)\w+"
    r"|\bjuż (?:się )?nie (?:pojawia|występuje|wyskakuje)\b|\bznikn(?:ął|ęł[ao])\b"
    r"|\b(?:co|to) (?:to )?(?:znaczy|oznacza)\b|\bnie mam (?:\w+ )?(?:błędu|problemu)"
    r"|\b(?:wcześniej|przedtem) (?:miał|był|dostawał)\w*|^\W*czy (?:to|może)\b.*\?"
    # Russian.
    r"|^\W*(?:решено|исправлено|решил\w?)\b|(?<!не )\b(?:решен[ао]|решён|исправлен[ао]?"
    r"|устранен[ао]|устранён)\b|\bбольше не (?:появляется|возникает|вылетает)\b"
    r"|\b(?:исчезл|пропал)[ао]?\b"
    r"|\bчто (?:это )?(?:значит|означает)\b|\bнет (?:такой |этой |никак\w+ )?ошибки\b"
    r"|\b(?:раньше|сначала) (?:был|получал|выдавал)\w*"
    r"|\b(?:решил|исправил|починил)[аи]? (?:это|её|ее|проблему|ошибку)\b"
    r"|^\W*это (?:из-за|потому)\b.*\?"
    # Turkish.
    r"|^\W*(?:çözüldü|düzeldi)\b|\b(?:çözüldü|çözdüm|düzelttim|düzeldi|kayboldu|giderildi)\b"
    r"|\bartık (?:çıkmıyor|gelmiyor|görünmüyor)\b|\bne (?:demek|anlama)\b|\bhatası yok\b",
    re.IGNORECASE,
)
#: What was before, up to where its sentence comes to what is now.
BEFORE = re.compile(
    r"(?:\b(?:fr(?:ü|ue)her|vorher|anfangs|zuerst|zun(?:ä|ae)chst|vor (?:dem|der) [\w-]+|bisher"
    r"|avant|auparavant|antes|anteriormente|primero|primeiro|vroeger|voorheen|wcześniej|przedtem"
    r"|раньше|сначала|önceden)\b|以前|之前|이전에는|전에는)"
    r"(?:[^.!?。\uff01\uff1f]|[.](?=\w))*?"
    r"(?=\b(?:jetzt|nun|inzwischen|maintenant|désormais|ahora|agora|nu|teraz|теперь|сейчас|şimdi)\b"
    r"|现在|如今|지금|이제)",
    re.IGNORECASE,
)
#: One of these is in each such part.
NOW = (
    "jetzt", "nun", "inzwischen", "maintenant", "désormais", "ahora", "agora", "现在", "如今",
    " nu ", "teraz", "теперь", "сейчас", "şimdi", "지금", "이제",
)  # fmt: skip
#: Somebody says that what stands above is over, and that another failure follows.
TURN = re.compile(
    r"\b(?:das|dies\w*|(?:der|dieser) (?:erste |obige )?fehler) (?:ist|wurde) "
    r"(?:jetzt |nun |inzwischen )?(?:behoben|gel(?:ö|oe)st|weg)\b"
    r"|\b(?:jetzt|nun|danach|dann|aber) (?:kommt|kam|bekomme ich|habe ich|erscheint|tritt)\b.{0,30}"
    r"\b(?:ander|neu|n(?:ä|ae)chst)e\w* (?:fehler|problem|meldung)"
    r"|\b(?:maintenant|mais|puis) .{0,30}\b(?:une? (?:autre|nouvelle)) (?:erreur|problème)"
    r"|\b(?:ahora|pero|agora|mas|luego|depois) .{0,30}"
    r"\b(?:otro|outro|nuevo|novo) (?:error|erro|problema)\b"
    r"|(?:但|现在|又|接着|然后).{0,12}(?:新的|另一个|别的|其他)的?(?:错误|问题|报错)"
    r"|(?:今度は|次は|しかし).{0,16}(?:別の|新しい|違う)(?:エラー|問題)"
    r"|(?:이제|그런데|이번에는).{0,16}(?:다른|새로운) (?:오류|에러|문제)"
    r"|\b(?:nu|maar|daarna)\b.{0,30}\b(?:andere?|nieuwe?) (?:fout|melding|probleem)"
    r"|\b(?:teraz|ale|potem)\b.{0,30}\b(?:inny|nowy) (?:błąd|problem)"
    r"|\b(?:теперь|но|потом|сейчас)\b.{0,30}\b(?:друг|нов)(?:ая|ую) (?:ошибк|проблем)"
    r"|\b(?:şimdi|ama|sonra)\b.{0,30}\b(?:başka|yeni) (?:bir )?(?:hata|sorun)",
    re.IGNORECASE,
)
#: One of these is in each such sentence.
TURNED = (
    "behoben", "gelöst", "geloest", "weg", "Fehler", "Meldung", "erreur", "problème",
    " erro", " problema", "错", "问题", "問題", "エラー", "오류", "에러",
    "문제", " fout", "melding", "probleem", "błąd", "problem", "ошибк", "проблем", "hata", "sorun",
)  # fmt: skip
