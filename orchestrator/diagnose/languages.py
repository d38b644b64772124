"""What the system says on machines of other languages, in the words that patterns are written for.

The sentences are those of the message catalogues of glibc (2.36 and what older ones said), bash and
apt in German, Spanish, French and Portuguese (of Portugal and of Brazil), and the commonest of them
in Italian, Russian, Japanese and Chinese. Quotes are written as ``'`` here, and any kind of quote
stands for it.
"""

# The letters of Russian are meant.
# ruff: noqa: RUF001

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: What glibc says in English, and in the other languages, in small letters.
SYSTEM: dict[str, tuple[str, ...]] = {
    "No space left on device": (
        "auf dem gerät ist kein speicherplatz mehr verfügbar",
        "no queda espacio en el dispositivo",
        "aucun espace disponible sur le périphérique",
        "sem espaço livre no dispositivo",
        "não há espaço disponível no dispositivo",
        "espaço insuficiente no dispositivo",
        "spazio esaurito sul device",
        "spazio esaurito sul dispositivo",
        "на устройстве не осталось свободного места",
        "デバイスに空き領域がありません",
        "设备上没有空间",
    ),
    "Permission denied": (
        "keine berechtigung",
        "permiso denegado",
        "permission non accordée",
        "permissão recusada",
        "permissão negada",
        "permission refusée",
        "permesso negato",
        "отказано в доступе",
        "許可がありません",
        "权限不够",
    ),
    "Operation not permitted": (
        "die operation ist nicht erlaubt",
        "operación no permitida",
        "opération non permise",
        "operação não permitida",
        "operazione non permessa",
        "операция не позволена",
        "許可されていない操作です",
        "不允许的操作",
    ),
    "Connection refused": (
        "verbindungsaufbau abgelehnt",
        "conexión rehusada",
        "connexion refusée",
        "ligação recusada",
        "conexão recusada",
        "conexión rechazada",
        "connessione rifiutata",
        "в соединении отказано",
        "接続を拒否されました",
        "拒绝连接",
    ),
    "No such file or directory": (
        "datei oder verzeichnis nicht gefunden",
        "no existe el fichero o el directorio",
        "aucun fichier ou dossier de ce type",
        "ficheiro ou pasta inexistente",
        "arquivo ou diretório inexistente",
        "ficheiro ou directoria inexistente",
        "no existe el archivo o el directorio",
        "aucun fichier ou répertoire de ce type",
        "file o directory non esistente",
        "нет такого файла или каталога",
        "そのようなファイルやディレクトリはありません",
        "没有那个文件或目录",
    ),
    "No route to host": (
        "keine route zum zielrechner",
        "no existe ninguna ruta hasta el 'host'",
        "aucun chemin d'accès pour atteindre l'hôte cible",
        "sem caminho para o anfitrião",
        "não há rota para o host",
    ),
    "Network is unreachable": (
        "das netzwerk ist nicht erreichbar",
        "la red es inaccesible",
        "le réseau n'est pas accessible",
        "rede inacessível",
        "a rede está fora de alcance",
    ),
    "Connection timed out": (
        "die wartezeit für die verbindung ist abgelaufen",
        "expiró el tiempo de conexión",
        "connexion terminée par expiration du délai d'attente",
        "ligação expirada",
        "tempo esgotado para conexão",
        "zeitüberschreitung bei der verbindung",
    ),
    "Connection reset by peer": (
        "die verbindung wurde vom kommunikationspartner zurückgesetzt",
        "conexión reinicializada por la máquina remota",
        "connexion ré-initialisée par le correspondant",
        "ligação reposta pelo peer",
        "conexão fechada pela outra ponta",
    ),
    "Cannot allocate memory": (
        "nicht genügend hauptspeicher verfügbar",
        "no se pudo asignar memoria",
        "ne peut allouer de la mémoire",
        "impossível alocar memória",
        "não foi possível alocar memória",
        "impossibile allocare memoria",
        "невозможно выделить память",
        "メモリを確保できません",
        "无法分配内存",
    ),
    "Read-only file system": (
        "das dateisystem ist nur lesbar",
        "sistema de ficheros de sólo lectura",
        "système de fichiers accessible en lecture seulement",
        "sistema de ficheiros só de leitura",
        "sistema de arquivos somente para leitura",
    ),
    "Is a directory": (
        "ist ein verzeichnis",
        "es un directorio",
        "est un dossier",
        "é pasta",
        "é um diretório",
    ),
    "Not a directory": (
        "ist kein verzeichnis",
        "no es un directorio",
        "n'est pas un dossier",
        "não é pasta",
        "não é um diretório",
    ),
    "Device or resource busy": (
        "das gerät oder die ressource ist belegt",
        "dispositivo o recurso ocupado",
        "périphérique ou ressource occupé",
        "dispositivo ou recurso ocupado",
        "dispositivo ou recurso está ocupado",
        "dispositivo o risorsa occupata",
        "устройство или ресурс занято",
        "デバイスもしくはリソースがビジー状態です",
        "设备或资源忙",
    ),
    "Exec format error": (
        "fehler im format der programmdatei",
        "formato de ejecutable incorrecto",
        "erreur de format pour exec()",
        "erro de formato do executável",
        "erro no formato exec",
        "falsches dateiformat",
        "fehler beim ausführen des formats",
    ),
    "Input/output error": (
        "eingabe-/ausgabefehler",
        "error de entrada/salida",
        "erreur d'entrée/sortie",
        "erro de entrada/saída",
    ),
    "No such device or address": (
        "kein passendes gerät bzw. keine passende adresse gefunden",
        "no existe el dispositivo o la dirección",
        "aucun périphérique ou adresse",
        "dispositivo ou endereço inexistente",
        "endereço ou dispositivo inexistente",
    ),
    "No such device": (
        "kein passendes gerät gefunden",
        "no existe el dispositivo",
        "aucun périphérique de ce type",
        "dispositivo inexistente",
    ),
    "Disk quota exceeded": (
        "der zugewiesene plattenplatz (quota) ist überschritten",
        "se ha excedido la cuota de disco",
        "débordement du quota d'espace disque",
        "quota do disco excedida",
        "cota da disco excedida",
    ),
    "Address already in use": (
        "die adresse wird bereits verwendet",
        "la dirección ya se está usando",
        "adresse déjà utilisée",
        "endereço já em uso",
    ),
    "Too many open files": (
        "zu viele offene dateien",
        "demasiados ficheros abiertos",
        "trop de fichiers ouverts",
        "demasiados ficheiros abertos",
        "muitos arquivos abertos",
    ),
    "Broken pipe": (
        "datenübergabe unterbrochen (broken pipe)",
        "tubería rota",
        "relais brisé (pipe)",
        "túnel quebrado",
        "pipe quebrado",
    ),
    "Inappropriate ioctl for device": (
        "unpassender ioctl (i/o-control) für das gerät",
        "función ioctl no apropiada para el dispositivo",
        "ioctl() inapproprié pour un périphérique",
        "controlo de e/s inapropriado para o dispositivo",
        "ioctl inapropriado para dispositivo",
    ),
    "Name or service not known": (
        "der name oder der dienst ist nicht bekannt",
        "nombre o servicio desconocido",
        "nom ou service inconnu",
        "nome ou serviço desconhecidos",
        "nome ou serviço desconhecido",
    ),
    "Temporary failure in name resolution": (
        "temporärer fehler bei der namensauflösung",
        "fallo temporal en la resolución del nombre",
        "échec temporaire dans la résolution du nom",
        "falha temporária na resolução de nome",
        "falha temporário na resolução de nome",
    ),
    "No address associated with hostname": (
        "zu diesem hostnamen gehört keine adresse",
        "no existe ninguna dirección asociada al nombre",
        "aucune adresse associée avec le nom de l'hôte",
        "sem endereço associado ao nome de servidor",
        "não há endereço associado com o nome",
    ),
    "Host is down": (
        "der rechner ist nicht aktiv",
        "el 'host' no está operativo",
        "l'hôte cible est arrêté ou en panne",
        "o anfitrião está em baixo",
        "host está desligado",
    ),
    "Segmentation fault": (
        "speicherzugriffsfehler",
        "violación de segmento",
        "erreur de segmentation",
        "falta de segmentação",
        "falha de segmentação",
    ),
    "Illegal instruction": (
        "ungültiger maschinenbefehl",
        "instrucción ilegal",
        "instruction non permise",
        "instrução ilegal",
    ),
    "cannot open shared object file": (
        "kann die shared-object-datei nicht öffnen",
        "no se puede abrir el fichero del objeto compartido",
        "ne peut ouvrir le fichier d'objet partagé",
        "impossível abrir ficheiro-objecto partilhado",
        "não é possível abrir arquivo compartilhado",
    ),
    "error while loading shared libraries": (
        "fehler beim laden der shared libraries",
        "error al cargar las bibliotecas compartidas",
        "erreur lors du chargement des librairies partagées",
        "erro ao carregar bibliotecas partilhadas",
        "erro ao carregar bibliotecas compartilhadas",
    ),
    "Argument list too long": (
        "die argumentliste ist zu lang",
        "la lista de argumentos es demasiado larga",
        "liste d'arguments trop longue",
        "lista de argumentos muito longa",
    ),
    "File too large": (
        "die datei ist zu groß",
        "fichero demasiado grande",
        "fichier trop gros",
        "ficheiro muito grande",
        "arquivo muito grande",
    ),
    "command not found": (
        "kommando nicht gefunden",
        "befehl nicht gefunden",
        "orden no encontrada",
        "comando não encontrado",
        "commande introuvable",
        "commande non trouvée",
        "comando non trovato",
        "команда не найдена",
        "コマンドが見つかりません",
        "未找到命令",
    ),
    "core dumped": ("speicherabzug geschrieben",),
    "trying to overwrite": (
        "intentando sobreescribir",
        "tentative de remplacement de",
        "a tentar sobre-escrever",
        "tentando sobrescrever",
    ),
    "which is also in package": (
        "zu überschreiben, welches auch in paket",
        "que está también en el paquete",
        "qui appartient aussi au paquet",
        "que também está no pacote",
    ),
    "remote host identification has changed": (
        "die identifikation des entfernten rechners hat sich geändert",
    ),
}
#: Words that are ordinary ones, too: they count only where they are all that a program said.
ALONE: dict[str, tuple[str, ...]] = {
    "Killed": ("getötet", "terminado (killed)", "processus arrêté", "morto"),
    "Aborted": ("abgebrochen", "abortado", "abandon"),
    "Bus error": ("bus-zugriffsfehler", "error del bus", "erreur du bus", "erro de bus",
                  "erro no barramento"),
}  # fmt: skip
#: Sentences with a word of their own; ``%s`` is that word.
FORMED: dict[str, tuple[str, ...]] = {
    "Unable to locate package %s": (
        "paket %s kann nicht gefunden werden",
        "no se ha podido localizar el paquete %s",
        "impossible de trouver le paquet %s",
        "não foi possível encontrar o pacote %s",
        "impossível encontrar o pacote %s",
    ),
    "Package %s has no installation candidate": (
        "für paket %s existiert kein installationskandidat",
        "paket %s hat keinen installationskandidaten",
        "el paquete %s no tiene un candidato para la instalación",
        "le paquet « %s » n'a pas de version susceptible d'être installée",
        "o pacote %s não tem candidato para instalação",
        "o pacote %s não tem candidato para a instalação",
    ),
}

_QUOTE = "[\"'`\u00b4\u2018\u2019\u201c\u201d]"


def _written(sentence: str) -> str:
    return re.escape(sentence).replace("'", _QUOTE).replace(r"\ ", r"\s+")


def _any_of(table: dict[str, tuple[str, ...]]) -> tuple[re.Pattern[str], dict[str, str]]:
    said = {one: english for english, others in table.items() for one in others}
    longest_first = sorted(said, key=len, reverse=True)
    pattern = "|".join(_written(one) for one in longest_first)
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE), said


def _key(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(_QUOTE, "'", text)).lower()


_SYSTEM, _SAID = _any_of(SYSTEM)
_ALONE, _SAID_ALONE = _any_of(ALONE)
#: A whole line, what follows a colon, or what a shell says of a job: ``4711 Killed  ./run``.
_ALONE_ON_LINE = re.compile(
    rf"(?P<before>^\s*|: ?)(?P<word>{_ALONE.pattern})(?=\s*(?:\(|\.?$))"
    rf"|(?P<job>: +\d+ +)(?P<ended>{_ALONE.pattern})(?=\s|$)",
    re.IGNORECASE,
)
_FORMED = tuple(
    (re.compile(_written(one).replace("%s", r"(\S+)"), re.IGNORECASE), english)
    for english, others in FORMED.items()
    for one in others
)


def _known_by(said: dict[str, str]) -> Callable[[re.Match[str]], str]:
    return lambda match: said[_key(match[0])]


def _filled(english: str) -> Callable[[re.Match[str]], str]:
    return lambda match: english.replace("%s", match[1])


def sentences() -> Iterable[str]:
    """Yield every sentence that is understood, as the programs write it."""
    for table in (SYSTEM, ALONE, FORMED):
        for others in table.values():
            yield from others


#: Sentences that a line of plain ASCII may hold, tried only where one of their beginnings stands.
_ASCII = re.compile(
    "|".join(_written(one).replace("%s", r"\S+") for one in sentences() if one.isascii()),
    re.IGNORECASE,
)


def to_english(line: str) -> str:
    """Return ``line`` with what the system says in another language said in English."""
    if line.isascii() and _ASCII.search(line) is None:
        return line
    # Chinese and Japanese shells write a wide colon, with no space after it.
    line = _SYSTEM.sub(_known_by(_SAID), line.replace("\uff1a", ": "))
    line = _ALONE_ON_LINE.sub(
        lambda match: (
            (match["before"] or match["job"] or "")
            + _SAID_ALONE[_key(match["word"] or match["ended"])]
        ),
        line,
    )
    for pattern, english in _FORMED:
        line = pattern.sub(_filled(english), line)
    return line
