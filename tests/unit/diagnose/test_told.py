"""What a post says of messages: which it asks about, and which are over, taught, or another's."""

from __future__ import annotations

import pytest

from orchestrator.diagnose.log_reader import read_log

MODULE = "ModuleNotFoundError: No module named 'hailo_platform'"
LIBRARY = "libhailort.so.4.20.0: cannot open shared object file: No such file or directory"
CACHE = "[HailoRT] [error] CHECK failed - KV-Cache is already in use"
LENGTH = "HEF file length does not match"


def asserted(text: str) -> set[str]:
    found = read_log(text.split("\n")).findings()
    return {one.id for one in found if one.severity == "fatal"}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (f"I get 'CHECK failed - {LENGTH}' although the size is fixed", "H03"),
        (f"I get `{LIBRARY}` and the version is fixed in requirements", "R10"),
        (f"I get `{MODULE}`, so I used sudo and it is the same.", "S28"),
        (f"I get '{LENGTH}' and not the output that is expected", "H03"),
        (f"I get {LIBRARY} and it never went away", "R10"),
        (f"I get {LIBRARY}, which was never fixed", "R10"),
        (f"I get {LIBRARY}, with the old release it worked", "R10"),
        (f"I get {MODULE}, this is not solved by another wheel", "S28"),
        (f"I don't see the video, {LIBRARY}", "R10"),
        (f"I get no detections - [HailoRT] [error] CHECK failed - {LENGTH}", "H03"),
        (f"I have no clue about this error - {LIBRARY}", "R10"),
        (f"I fixed the path -> {MODULE}", "S28"),
        (f"Fixed the path, but now: {MODULE}", "S28"),
        (f"{CACHE}\nI thought this was fixed in 4.21.\n{MODULE}", "N300"),
        (f"## Troubleshooting\nrebooted\n\n## Log\n{CACHE}", "N300"),
        (f"# Fixed\n\n# Open\n{CACHE}", "N300"),
        (f"| Test | Said |\n|---|---|\n| a | {MODULE} |", "S28"),
        (f"Problem: {MODULE}\nI have no solution.", "S28"),
        (f"**Error:**\n{MODULE}\n**Fix:**\n?", "S28"),
        (f"It usually happens after a minute:\n{CACHE}", "N300"),
        (f"The device is gone.\n{CACHE}", "N300"),
        (f"If it fails with the model I get:\n{CACHE}", "N300"),
        (f"/* build log\n{CACHE}", "N300"),
    ],
)
def test_what_came_is_not_taken_for_what_is_over(text: str, cause: str) -> None:
    assert cause in asserted(text)


@pytest.mark.parametrize(
    "text",
    [
        f"I do not get {MODULE} any more.",
        f"I don't get {LENGTH} or any other error here.",
        f"Solved. The error was '{LENGTH}', another download mended it.",
        "What does HAILO_OUT_OF_PHYSICAL_DEVICES(74) mean?",
        f'assistant: The error "{MODULE}" usually means that the wheel is not installed.',
        f"The error {MODULE} is gone now.",
        f"After installing the wheel, {MODULE} went away.",
        f"When you see `{MODULE}`, activate the environment.\nThis happens when {LENGTH}.",
        "In case of OSError: [Errno 28] No space left on device, remove old images.",
        "If this fails with OSError: [Errno 28] No space left on device, free some.\nSaved m.har",
        f"如果出现 {MODULE} 请安装",
        f"Falls `{LIBRARY}` erscheint, ldconfig ausfuehren.",
        f"もし「{MODULE}」と表示されたら、インストールしてください。",
        f"Si vous voyez `{LIBRARY}`, lancez ldconfig.",
        f"Se aparecer `{MODULE}`, instale o pacote.",
        f"Si aparece el error `{MODULE}`, instale el paquete.",
        f"# FAQ\n## {MODULE}\nInstall it.\n## {LIBRARY}\nRun ldconfig",
        f"## Known issues\n- {MODULE} when run with sudo\n- KV-Cache is already in use",
        f"# Changelog\n## [1.2.0]\n### Fixed\n- {MODULE} in the environment\n- {LIBRARY}",
        f"| Error | Fix |\n|---|---|\n| `{MODULE}` | install it |\n| {LENGTH} | load it again |",
        f"| Code | Meaning |\n|---|---|\n| HAILO_INVALID_HEF(26) | bad |\n| 26 | {LENGTH} |",
        f"Problem: {MODULE}\nSolution: install the wheel\n\nProblem: {LENGTH}\nSolution: again",
        f"**Error:** `{LIBRARY}`\n**Fix:** run ldconfig",
        f"hailo_platform not found ({MODULE}), using CPU backend\nFPS: 3",
    ],
)
def test_what_is_taught_or_over_is_not_asserted(text: str) -> None:
    assert asserted(text) == set()


@pytest.mark.parametrize(
    "told",
    [
        f"First I got {MODULE}, that one I fixed.",
        f"An older clone failed with {MODULE}, but I fixed that one.",
        f"It failed with {MODULE} before, this I have since solved.",
        f"Last month I had {MODULE}, solved by another wheel.",
    ],
)
def test_what_somebody_fixed_stands_before_that_word(told: str) -> None:
    assert asserted(f"{CACHE}\n{told}") == {"N300"}


@pytest.mark.parametrize(
    "line",
    [
        "Failed to open device: 16",
        "error: pipeline 3 failed, status 26",
        "error: inference server: status 76",
        "2 hefs failed: 26",
        "mdadm: failed to open device: 15",
    ],
)
def test_a_number_without_a_word_of_hailorts_may_be_anothers(line: str) -> None:
    assert asserted(line) == set()


def test_a_device_of_another_maker_is_none_of_hailorts() -> None:
    assert read_log(["v4l2: Failed to open device: 16"]).findings() == []
    assert asserted("v4l2 source: Failed to open hailo device: 16") == {"T09"}


@pytest.mark.parametrize(
    "text",
    [
        f"Der Fehler `{MODULE}` ist jetzt behoben.",
        f"Gelöst. Der Fehler war `{LENGTH}`.",
        f"Ich bekomme keinen Fehler wie `{LENGTH}`.",
        f"Ist es vielleicht wegen `{LENGTH}`?",
        f"L'erreur `{MODULE}` a disparu.",
        f"Résolu : c'était `{LENGTH}`.",
        f"El error `{LENGTH}` ya no aparece.",
        f"Solucionado: {LENGTH}",
        f"O erro `{LENGTH}` não aparece mais, agora funciona.",
        f"之前报 {MODULE} 已经解决了",
        f"没有出现 {LENGTH} 这样的错误",
        f"{LENGTH} 是什么意思？",
        f"{LENGTH} というエラーは解決しました。",
        f"{LENGTH} とはどういう意味ですか？",
        f"{LENGTH} 오류는 해결되었습니다.",
        f"De fout `{MODULE}` is inmiddels opgelost.",
        f"De melding `{LENGTH}` komt niet meer.",
        f"Błąd `{MODULE}` został rozwiązany.",
        f"Komunikat `{LENGTH}` już się nie pojawia.",
        f"Ошибка `{MODULE}` исправлена.",
        f"Сообщение `{LENGTH}` больше не появляется.",
        f"`{MODULE}` hatası çözüldü.",
        f"`{LENGTH}` artık görünmüyor.",
    ],
)
def test_what_is_over_or_asked_after_in_another_language_is_not_asserted(text: str) -> None:
    assert asserted(text) == set()


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (f"Ich bekomme: {LENGTH}", "H03"),
        (f"Das Problem ist nicht behoben: {LENGTH}", "H03"),
        (f"Ça ne marche pas : {LENGTH}", "H03"),
        (f"No funciona, sale: {LENGTH}", "H03"),
        (f"Não funciona: {LENGTH}", "H03"),
        (f"我遇到 {MODULE} 怎么解决？", "S28"),
        (f"还没有解决：{MODULE}", "S28"),
        (f"{LENGTH} というエラーが出ます。", "H03"),
        (f"{LENGTH} 오류가 발생합니다.", "H03"),
        ("没有看到 /dev/hailo0: No such file or directory", "R33"),
    ],
)
def test_what_came_in_another_language_is_asserted(text: str, cause: str) -> None:
    assert cause in asserted(text)


@pytest.mark.parametrize(
    "turn",
    [
        "Das ist behoben, jetzt kommt ein anderer Fehler:",
        "C'est mieux, mais maintenant j'ai une autre erreur :",
        "Eso ya está, pero ahora sale otro error:",
        "Mas agora aparece outro erro:",
        "这个好了，但出现新的错误：",
        "今度は別のエラーが出ました。",
        "그런데 다른 오류가 나옵니다.",
    ],
)
def test_another_failure_that_came_then_is_told_in_another_language(turn: str) -> None:
    assert asserted(f"{MODULE}\n{turn}\n{CACHE}") == {"N300"}


def test_statuses_in_a_row_are_what_somebody_had_and_one_that_comes_now_is_told() -> None:
    text = "Mine were HAILO_TIMEOUT, HAILO_OUT_OF_PHYSICAL_DEVICES and HAILO_INVALID_HEF."
    assert asserted(text) == set()
    assert asserted(f"{text}\nNow it says HAILO_INVALID_DRIVER_VERSION(76).") == {"R03"}
    # Names of packages with Hailo's name are none.
    assert asserted("from hailo_platform, hailo_apps: error: No module named hailo_platform")


def test_a_page_that_glues_a_sentence_to_a_status_is_read() -> None:
    assert asserted("I get hailo_invalid_driver_versionAfter that it ends.") == {"R03"}
    assert asserted("I get HAILO_INVALID_DRIVER_VERSIONAfter that it ends.") == {"R03"}


def test_the_title_stays_what_is_asked_about_where_its_writer_says_this_error() -> None:
    title = '# gst_parse_error: no element "hailonet"\n\n'
    assert asserted(f"{title}I get this error whenever I run the example.") == {"V03"}
    another = "I get the error: file /data/a.hef not found, and it failed."
    assert "V03" not in asserted(f"{title}{another}")
