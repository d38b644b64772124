"""What the system says on machines of other languages, in the words that patterns are written for.

The sentences are those of the message catalogues of glibc (2.36 and what older ones said), bash and
apt in German, Spanish, French and Portuguese (of Portugal and of Brazil), and the commonest of them
in Italian, Russian, Japanese, Chinese, Korean, Polish and Turkish. Quotes are written as ``'``
here, and any kind of quote stands for it.
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
        "장치에 남은 공간이 없음",
        "裝置上已無多餘空間",
        "brak miejsca na urządzeniu",
        "aygıt üzerinde boş yer yok",
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
        "허가 거부",
        "拒絕不符權限的操作",
        "erişim engellendi",
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
        "명령을 허용하지 않음",
        "此項操作並不被允許",
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
        "연결이 거부됨",
        "連線被拒絕",
        "połączenie odrzucone",
        "bağlantı reddedildi",
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
        "그런 파일이나 디렉터리가 없습니다",
        "沒有此一檔案或目錄",
        "böyle bir dosya ya da dizin yok",
    ),
    "No route to host": (
        "keine route zum zielrechner",
        "no existe ninguna ruta hasta el 'host'",
        "aucun chemin d'accès pour atteindre l'hôte cible",
        "sem caminho para o anfitrião",
        "não há rota para o host",
        "ホストへの経路がありません",
        "호스트로 갈 루트가 없음",
        "没有到主机的路由",
        "找不到通往該主機的路由路徑",
        "нет маршрута до узла",
        "makinaya ağ üzerinden yol yok",
    ),
    "Network is unreachable": (
        "das netzwerk ist nicht erreichbar",
        "la red es inaccesible",
        "le réseau n'est pas accessible",
        "rede inacessível",
        "a rede está fora de alcance",
        "ネットワークに届きません",
        "네트워크가 접근 불가능합니다",
        "网络不可达",
        "無法接觸網路",
        "сеть недоступна",
        "sieć jest niedostępna",
        "ağ erişilebilir durumda değil",
    ),
    "Connection timed out": (
        "die wartezeit für die verbindung ist abgelaufen",
        "expiró el tiempo de conexión",
        "connexion terminée par expiration du délai d'attente",
        "ligação expirada",
        "tempo esgotado para conexão",
        "zeitüberschreitung bei der verbindung",
        "接続がタイムアウトしました",
        "연결 시간 초과",
        "连接超时",
        "連線超過時間",
        "連線逾時",
        "время ожидания соединения истекло",
        "время ожидания для соединения истекло",
        "przekroczony czas oczekiwania na połączenie",
        "przekroczenie czasu połączenia",
        "bağlantıda zaman aşımı",
        "bağlantı zaman aşımına uğradı",
    ),
    "Connection reset by peer": (
        "die verbindung wurde vom kommunikationspartner zurückgesetzt",
        "conexión reinicializada por la máquina remota",
        "connexion ré-initialisée par le correspondant",
        "ligação reposta pelo peer",
        "conexão fechada pela outra ponta",
        "接続が相手からリセットされました",
        "상대편이 연결을 끊음",
        "连接被对方重设",
        "連線被對方重設",
        "соединение разорвано другой стороной",
        "połączenie zerwane przez drugą stronę",
        "bağlantı karşıdan kesildi",
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
        "메모리를 할당할 수 없습니다",
        "無法配置記憶體",
        "nie można przydzielić pamięci",
        "bellek ayrılamadı",
    ),
    "Read-only file system": (
        "das dateisystem ist nur lesbar",
        "sistema de ficheros de sólo lectura",
        "système de fichiers accessible en lecture seulement",
        "sistema de ficheiros só de leitura",
        "sistema de arquivos somente para leitura",
        "読み込み専用ファイルシステムです",
        "읽기전용 파일 시스템",
        "只读文件系统",
        "唯讀的檔案系統",
        "файловая система доступна только для чтения",
        "system plików wyłącznie do odczytu",
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
        "장치나 자원이 동작 중",
        "裝置或系統資源忙碌中",
        "urządzenie lub zasoby zajęte",
        "aygıt ya da özkaynak meşgul",
    ),
    "Exec format error": (
        "fehler im format der programmdatei",
        "formato de ejecutable incorrecto",
        "erreur de format pour exec()",
        "erro de formato do executável",
        "erro no formato exec",
        "falsches dateiformat",
        "fehler beim ausführen des formats",
        "実行形式エラー",
        "exec 형식 오류",
        "可执行文件格式错误",
        "可執行檔格式錯誤",
        "ошибка формата выполняемого файла",
        "błędny format pliku wykonywalnego",
        "çalıştırılabilir biçem hatası",
    ),
    "Input/output error": (
        "eingabe-/ausgabefehler",
        "error de entrada/salida",
        "erreur d'entrée/sortie",
        "erro de entrada/saída",
        "入力/出力エラーです",
        "입력/출력 오류",
        "输入/输出错误",
        "輸入/輸出錯誤",
        "ошибка ввода/вывода",
        "błąd wejścia/wyjścia",
        "girdi/çıktı hatası",
    ),
    "No such device or address": (
        "kein passendes gerät bzw. keine passende adresse gefunden",
        "no existe el dispositivo o la dirección",
        "aucun périphérique ou adresse",
        "dispositivo ou endereço inexistente",
        "endereço ou dispositivo inexistente",
        "そのようなデバイスやアドレスはありません",
        "그런 장치 혹은 주소가 없음",
        "没有那个设备或地址",
        "沒有此一裝置或位址",
        "нет такого устройства или адреса",
        "nie ma takiego urządzenia ani adresu",
        "böyle bir aygıt ya da adres yok",
    ),
    "No such device": (
        "kein passendes gerät gefunden",
        "no existe el dispositivo",
        "aucun périphérique de ce type",
        "dispositivo inexistente",
        "そのようなデバイスはありません",
        "그런 장치가 없음",
        "没有那个设备",
        "沒有此一裝置",
        "нет такого устройства",
        "nie ma takiego urządzenia",
        "böyle bir aygıt yok",
    ),
    "Disk quota exceeded": (
        "der zugewiesene plattenplatz (quota) ist überschritten",
        "se ha excedido la cuota de disco",
        "débordement du quota d'espace disque",
        "quota do disco excedida",
        "cota da disco excedida",
        "ディスク使用量制限を超過しました",
        "디스크 할당량이 초과됨",
        "超出磁盘限额",
        "磁碟配額已滿",
        "превышена дисковая квота",
        "disk kotası aşıldı",
    ),
    "Address already in use": (
        "die adresse wird bereits verwendet",
        "la dirección ya se está usando",
        "adresse déjà utilisée",
        "endereço já em uso",
        "アドレスは既に使用中です",
        "주소가 이미 사용 중입니다",
        "地址已在使用",
        "位址已經有在使用",
        "адрес уже используется",
        "adres jest już w użyciu",
        "adres zaten kullanımda",
    ),
    "Too many open files": (
        "zu viele offene dateien",
        "demasiados ficheros abiertos",
        "trop de fichiers ouverts",
        "demasiados ficheiros abertos",
        "muitos arquivos abertos",
        "ファイルを開きすぎです",
        "열린 파일이 너무 많음",
        "打开的文件过多",
        "開啟太多檔案",
        "слишком много открытых файлов",
        "za dużo otwartych plików",
        "çok fazla açık dosya var",
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
        "名前またはサービスが不明です",
        "이름 혹은 서비스를 알 수 없습니다",
        "알 수 없는 이름 또는 서비스",
        "未知的名称或服务",
        "名称或服务未知",
        "名稱或服務未知",
        "неизвестное имя или служба",
        "неизвестное имя или сервис",
        "ta nazwa lub usługa jest nieznana",
        "nieznana nazwa lub usługa",
    ),
    "Temporary failure in name resolution": (
        "temporärer fehler bei der namensauflösung",
        "fallo temporal en la resolución del nombre",
        "échec temporaire dans la résolution du nom",
        "falha temporária na resolução de nome",
        "falha temporário na resolução de nome",
        "名前解決に一時的に失敗しました",
        "name resolution에서 일시적인 실패",
        "일시적 이름 해석 실패",
        "域名解析暂时失败",
        "域名解析出现暂时性错误",
        "解析名稱時發生暫時性錯誤",
        "временный сбой в разрешении имен",
        "временный сбой разрешения имен",
        "odwzorowanie nazwy jest chwilowo niemożliwe",
        "tymczasowy błąd rozwiązywania nazw",
        "ad çözümlenmesinde geçici başarısızlık",
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
        "セグメンテーションフォルト",
        "세그멘테이션 오류",
        "세그먼테이션 오류",
        "段错误",
        "程式記憶體區段錯誤",
        "ошибка сегментирования",
        "ошибка сегментации",
        "нарушение сегментирования",
        "naruszenie ochrony pamięci",
        "błąd segmentacji",
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
        "共有オブジェクトファイルを開けません",
        "동적 오브젝트 파일을 열 수 없습니다",
        "无法打开共享对象文件",
        "無法開啟共用物件",
        "невозможно открыть разделяемый объектный файл",
        "nie można otworzyć pliku obiektu dzielonego",
        "paylaşımlı nesne dosyası açılamıyor",
    ),
    "error while loading shared libraries": (
        "fehler beim laden der shared libraries",
        "error al cargar las bibliotecas compartidas",
        "erreur lors du chargement des librairies partagées",
        "erro ao carregar bibliotecas partilhadas",
        "erro ao carregar bibliotecas compartilhadas",
        "共有ライブラリのロード中にエラーが発生しました",
        "동적 라이브러리를 읽어들이는데 오류가 발생했습니다",
        "载入共享库时出错",
        "載入共用函式庫時發生錯誤",
        "ошибка при загрузке разделяемых библиотек",
        "błąd podczas wczytywania bibliotek dzielonych",
        "paylaşımlı kitaplıklar yüklenirken hata oluştu",
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
        "명령어를 찾을 수 없음",
        "指令找不到",
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
    # What programs of users say themselves.
    "could not open camera": (
        "无法打开摄像头",
        "无法打开相机",
        "無法開啟攝影機",
        "無法開啟相機",
        "カメラを開けません",
        "カメラを開けませんでした",
        "カメラが開けません",
        "カメラを開くことができません",
        "カメラを開くことができませんでした",
        "카메라를 열 수 없습니다",
        "웹캠을 열 수 없습니다",
        "не удалось открыть камеру",
        "kamera konnte nicht geöffnet werden",
    ),
    "could not open video source": (
        "无法打开视频源",
        "无法打开视频流",
        "無法開啟影片來源",
        "映像を開けません",
        "動画を開けません",
        "스트림을 열 수 없습니다",
        "비디오를 열 수 없습니다",
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
        "paket %s kann nicht gefunden werden.",
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
        "パッケージ %s にはインストール候補がありません",
        "%s 패키지는 설치할 수 있는 후보가 없습니다",
        "软件包 %s 没有可安装候选",
        "套件 %s 沒有可安裝的候選版本",
        "для пакета %s не найден кандидат на установку",
        "%s paketi için kurulum adayı yok",
    ),
    # Of apt alone: the words are ordinary ones.
    "E: Unable to locate package %s": (
        "e: パッケージ %s が見つかりません",
        "e: %s 패키지를 찾을 수 없습니다",
        "e: 无法定位软件包 %s",
        "e: 找不到套件 %s",
        "e: невозможно найти пакет %s",
        "e: nie udało się odnaleźć pakietu %s",
        "e: %s paketi bulunamadı",
    ),
    "cannot access %s": (
        "%s にアクセスできません",
        "%s에 접근할 수 없음",
        "无法访问 %s",
        "無法存取 %s",
        "невозможно получить доступ к %s",
        "%s ögesine erişilemedi",
        "zugriff auf %s nicht möglich",
        "impossible d'accéder à %s",
        "não foi possível acessar %s",
        "impossível aceder a %s",
        "не вдалося отримати доступ до %s",
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
#: The longest word of each sentence, without which there is no use in looking for it.
_FORMED = tuple(
    (
        max(re.split(r"['\s]|%s", one), key=len),
        re.compile(_written(one).replace("%s", r"(\S+)"), re.IGNORECASE),
        english,
    )
    for english, others in FORMED.items()
    for one in others
)
#: The space that French writes before a colon.
_FRENCH = re.compile(r"(?<=\S)[ \u00a0]:[ \u00a0](?=command not found|No such file)")


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
    lower = line.lower()
    for word, pattern, english in _FORMED:
        if word in lower:
            line = pattern.sub(_filled(english), line)
    return _FRENCH.sub(": ", line)
