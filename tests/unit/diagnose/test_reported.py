"""Whose failure a post shows: what the sentences around a log say of it, in eight languages."""

# Letters of other scripts are meant.

from __future__ import annotations

import pytest

from orchestrator.diagnose.log_reader import read_log
from orchestrator.diagnose.post.reported import is_prose, is_reported
from tests.corpus import Case, load

LOG = (
    "[HailoRT] [error] CHECK failed - Driver version (4.20.0) is different from library version"
    " (4.19.0)\n[HailoRT] [error] Driver version mismatch, status HAILO_INVALID_DRIVER_VERSION(76)"
)
TRACE = (
    "Traceback (most recent call last):\n"
    '  File "/home/pi/detect.py", line 3, in <module>\n'
    "    from hailo_platform import VDevice\n"
    "ModuleNotFoundError: No module named 'hailo_platform'"
)
DOCKER = (
    "docker: Error response from daemon: error gathering device information while adding custom"
    ' device "/dev/hailo0": no such file or directory.'
)

#: Sentences above and below a log that is none of the writer's now.
NOT_NOW = [
    # Supposed.
    ("Suppose a user gets this:", "What should the page say?"),
    ("Let's assume that the log says", "Which driver would you install?"),
    ("Hypothetical question: what if someone sees", "Would a reboot be enough?"),
    ("Angenommen, jemand bekommt das hier:", "Was würdet ihr raten?"),
    ("Nehmen wir an, es erscheint", "Reicht dann ein Neustart?"),
    ("Imaginons que le journal contienne :", "Que faut-il répondre ?"),
    ("Supongamos que aparece esto:", "¿Qué habría que hacer?"),
    ("Imagine que apareça o seguinte:", "O que o suporte responde?"),
    ("Supponiamo che compaia questo:", "Cosa direste?"),
    ("假设日志里出现下面的内容：", "应该先检查什么？"),
    ("仮に次の出力があったとします。", "まず何を確認しますか？"),
    # Under a condition, with what one does then.
    ("If the versions differ, hailortcli prints:", "In that case reinstall both packages."),
    ("When the library is older, the tool stops with", "You should update it first."),
    ("Wenn die Versionen nicht passen, meldet das Programm:", "Dann muss man beide erneuern."),
    # Another's, and the writer's own machine is well.
    ("A coworker had this on her board:", "I have never seen it. Mine runs fine."),
    ("Somebody on Discord got:", "On my Pi everything works. Is that a known bug?"),
    ("My brother's Pi showed two years ago:", "Do newer cards still need that?"),
    ("Ein Bekannter hatte letztes Jahr:", "Bei mir läuft alles, ich frage nur."),
    ("Un ami a eu ceci l'an dernier :", "Chez moi tout fonctionne."),
    ("Un amigo tuvo esto hace años:", "A mí me funciona todo."),
    ("Um colega teve isto no ano passado:", "Aqui tudo funciona."),
    ("Un collega ha avuto questo due anni fa:", "Da me funziona tutto."),
    ("我朋友去年遇到过：", "我这里一切正常。"),
    ("知人の環境で去年こう出たそうです。", "私の環境は正常です。"),
    # An example.
    ("The tool then prints something like", "I'm only writing the manual."),
    ("Das Programm meldet zum Beispiel:", "Ich schreibe nur die Anleitung."),
    ("You get this when the host's driver is older:", "Reinstall both packages."),
    ("Eva's board printed:", "Ours is green, should we worry?"),
    # What is dealt with.
    ("This patch handles the case in which the tool says", "All tests pass."),
    ("- Fixed: the service stopped with", "- Faster start of the whole service"),
    # The writer's own, of a time before.
    ("Before the update I always got:", "Since then everything runs."),
    ("Früher kam bei jedem Start:", "Seit dem Update läuft alles."),
    ("Avant la mise à jour j'avais toujours :", "Maintenant tout fonctionne."),
    ("Antes de actualizar me salía esto:", "Ahora todo funciona bien."),
    ("Antes da atualização aparecia:", "Agora tudo funciona."),
    ("Prima dell'aggiornamento ricevevo sempre:", "Adesso funziona tutto."),
    ("升级之前一直报：", "升级以后一切正常了。"),
    ("更新前は毎回こう出ていました。", "更新後は正常に動いています。"),
    # The same in Dutch, Polish, Russian, Turkish and Korean.
    ("Stel dat iemand deze fout krijgt:", "Wat controleer je dan het eerst?"),
    ("Een collega had vorig jaar deze fout:", "Bij mij werkt alles."),
    ("Gisteren kreeg ik bij elke start:", "Na een update werkt alles weer."),
    ("Gisteren kreeg ik deze fout, maar na een update is het opgelost:", "Bedankt!"),
    ("Załóżmy, że ktoś dostaje taki błąd:", "Od czego zacząć?"),
    ("Kolega miał rok temu taki błąd:", "U mnie wszystko działa."),
    ("Wczoraj miałem przy każdym starcie:", "Teraz wszystko działa."),
    ("Предположим, кто-то получает такую ошибку:", "С чего начать?"),
    ("У коллеги год назад была такая ошибка:", "У меня всё работает."),
    ("Вчера при каждом запуске была ошибка:", "После обновления всё работает."),
    ("Вчера была такая ошибка, решил обновлением, теперь всё работает:", "Спасибо!"),
    ("Diyelim ki biri bu hatayı alıyor:", "Önce neye bakmalı?"),
    ("Bir arkadaşım geçen yıl bu hatayı almıştı:", "Bende her şey çalışıyor."),
    ("Dün her açılışta bu hatayı aldım:", "Şimdi her şey çalışıyor."),
    ("누군가 이런 오류가 난다고 가정해 봅시다:", "무엇부터 확인할까요?"),
    ("작년에 동료가 이런 오류를 겪었습니다:", "제 장비는 잘 됩니다."),
    ("어제는 실행할 때마다 이런 오류가 났습니다:", "지금은 잘 됩니다."),
    # One sentence that tells both.
    ("Yesterday I got this error, but after an update it is solved:", "Thanks!"),
    ("Yesterday there was this error, solved it with new packages:", "Everything works now."),
    ("I could fix this myself by reinstalling:", "What about the frame rate?"),
    ("The following error is gone since I reinstalled:", "Now to my question."),
    ("Solved. It was:", "Reinstalling helped."),
    ("That was the message until I rebooted:", "All good now, thanks."),
    ("A week ago I posted this error:", "It turned out to be the kernel. Closing."),
    ("My first attempt failed with:", "After a full-upgrade the second attempt succeeded."),
    ("On the old SD card I had:", "With the new card everything is fine."),
    ("I had this problem too:", "Reinstall hailo-all and reboot, that solved it for me."),
    ("The docs say that this error comes when versions differ:", "I have no error, only 2 FPS."),
    ("@user, did you see this message at the start?", "It would explain the rest."),
    ("Does your log contain the following?", "If so, reinstall both."),
    # Over, and kept for others.
    ("EDIT: solved, see below. Old error for people who search:", "Thanks all!"),
    ("I leave the original post below.", "It was solved by an update."),
    ("Gelöst. Ich lasse die alte Fehlermeldung stehen.", "Danke euch."),
    ("Résolu. Je laisse l'ancien message pour ceux qui cherchent.", "Merci !"),
    ("All of the following were resolved by reading the sources:", "Hope it helps."),
    ("The four errors and their fixes, in the order of the days:", "It compiles now."),
]
#: The same dress around a failure that is the writer's.
NOW = [
    ("I get something like this:", "What can I do?"),
    ("I assume that the driver is too new, because it says", "Is there an older one?"),
    ("I suppose this line is the reason:", "How do I mend it?"),
    ("If I start the demo it prints", "My Pi has 8 GB."),
    ("If you start the demo you get", "Steps to reproduce: flash the image, reboot."),
    ("When you run the container it stops with", "Any ideas?"),
    ("In theory everything is installed, but:", "What is wrong here?"),
    ("My colleague and I get this:", "Both boards are new."),
    ("A customer of ours sends this today:", "What should he do?"),
    ("A friend set the board up for me. Now it shows", "Help!"),
    ("Someone on the forum told me to reinstall. After that:", "No luck so far."),
    ("Same as Peter in the other thread:", "Fresh image."),
    ("I found an old thread with the same problem, here is mine:", "It was never answered."),
    ("It works on my PC, but the Pi says", "The image is the same."),
    ("I never had this before the update:", "How do I go back?"),
    ("When the service starts it fails with", "How to fix this?"),
    ("When Frigate starts, the engine says:", "You can see the compose file in my repo."),
    ("A user in our lab reports:", "Nothing works for me either."),
    ("Someone else set this up, and now it prints", "Just asking for help, I am new."),
    ("Yesterday I got:", "Today it is still the same."),
    ("Before the update I never had any error, now:", "It worked fine for years."),
    ("The last change broke it:", "Everything was fine on Monday."),
    ("Here's the log of it:", "Everything is fine with the camera, but not with the card."),
    ("Früher lief alles, jetzt kommt:", "Seit dem Update geht es nicht."),
    ("升级之前没有问题，现在报：", "请问怎么办？"),
    ("Edit: still not solved, now with the full log:", "Please help."),
    ("Edit: solved? No, it came back:", "The same after each reboot."),
    ("I leave the log here for anyone who can help:", "Thank you!"),
    ("For example this comes at each start, I get it daily:", "What is it?"),
    ("Ich bekomme ungefähr das hier:", "Was tun?"),
    ("Wenn ich Frigate starte, kommt", "Muss ich neu booten?"),
    ("Ich nehme an, der Treiber ist zu neu:", "Gibt es einen älteren?"),
    ("Mein Kollege und ich haben beide dasselbe:", "Woran liegt es?"),
    ("Nachtrag: leider nicht gelöst, weiterhin:", "Hat jemand eine Idee?"),
    ("Bei mir kommt beim Start etwa so etwas:", "Danke!"),
    ("J'obtiens quelque chose comme :", "Une idée ?"),
    ("Si je lance la démo, j'ai :", "Que faire ?"),
    ("Mon collègue et moi avons la même erreur :", "Merci."),
    ("Édit : toujours pas résolu :", "Au secours."),
    ("Me sale algo como esto:", "¿Qué hago?"),
    ("Dejo aquí el registro:", "Gracias por la ayuda."),
    ("Un compañero y yo tenemos el mismo error:", "¿Alguna idea?"),
    ("Recebo algo como isto:", "O que fazer?"),
    ("Segue o registro para referência:", "Alguém sabe?"),
    ("Ottengo qualcosa come questo:", "Cosa devo fare?"),
    ("我今天遇到类似这样的错误：", "请问怎么解决？"),
    ("我和同事都遇到同样的问题：", "怎么办？"),
    ("更新：还没解决，依然报错：", "求助。"),
    ("私の環境では次のようなエラーが出ます。", "どうすればよいですか？"),
    ("同僚と同じエラーが出ます。", "助けてください。"),
    ("Yesterday I got another error and fixed it, now I get:", "What next?"),
    ("I used to get an import error, that is solved now, but this one stays:", "Ideas?"),
    ("Before the update it was another error, which is fixed, now it says:", "Help."),
    ("I solved the import, and then this came:", "What to do?"),
    ("I had this a week ago already and it went away. Since today again:", "Help."),
    ("I got this after the update:", "On my other Pi everything works."),
    ("I got this error:", "With version 4.19 it works."),
    ("Last week I bought the HAT, it printed:", "Updated all, it works a minute, then the same."),
    ("My first attempt failed with:", "The second attempt failed as well."),
    ("I could fix the first error by reinstalling, this one remains:", "Ideas?"),
    ("The docs say that it is supported, still I get:", "I have no errors on the PC."),
    ("Did you see this too?", "I am stuck with it."),
    ("Ik krijg sinds vandaag deze fout:", "Wat kan ik doen?"),
    ("Gisteren werkte alles nog, vandaag krijg ik:", "Iemand een idee?"),
    ("Nog steeds niet opgelost:", "Wie weet raad?"),
    ("Mijn collega en ik hebben dezelfde fout:", "Waar ligt het aan?"),
    ("Dostaję taki błąd:", "Co mogę zrobić?"),
    ("Problem nadal nie rozwiązany:", "Pomocy."),
    ("Kolega i ja mamy ten sam błąd:", "Jakieś pomysły?"),
    ("Получаю такую ошибку:", "Что делать?"),
    ("У меня такая ошибка, у коллеги всё работает:", "Помогите, пожалуйста."),
    ("Проблема не решена, по-прежнему:", "Есть идеи?"),
    ("Şu hatayı alıyorum:", "Ne yapabilirim?"),
    ("Arkadaşımla aynı hatayı alıyoruz:", "Teşekkürler."),
    ("이런 오류가 나옵니다:", "도와주세요."),
    ("동료도 저도 같은 오류가 발생합니다:", "어떻게 해야 하나요?"),
    ("아직 해결되지 않았습니다:", "도와주세요."),
    ("All of these are still not resolved:", "Help."),
    ("Both are solved, but now this one came:", "Ideas?"),
]


def asserted(text: str) -> set[str]:
    return {one.id for one in read_log(text.split("\n")).findings() if one.severity == "fatal"}


def post(head: str, log: str, tail: str, *, fenced: bool) -> str:
    return f"{head}\n\n```\n{log}\n```\n\n{tail}" if fenced else f"{head}\n\n{log}\n\n{tail}"


@pytest.mark.parametrize("fenced", [True, False], ids=["fenced", "plain"])
@pytest.mark.parametrize(("head", "tail"), NOT_NOW, ids=lambda text: text[:30])
def test_a_failure_that_nobody_has_now_is_only_possible(head: str, tail: str, fenced: bool) -> None:
    for log in (LOG, TRACE, DOCKER):
        read = read_log(post(head, log, tail, fenced=fenced).split("\n"))
        assert {one.severity for one in read.findings()} == {"possible"}
        assert read.ran().outcome == "unknown"


@pytest.mark.parametrize("fenced", [True, False], ids=["fenced", "plain"])
@pytest.mark.parametrize(("head", "tail"), NOW, ids=lambda text: text[:30])
def test_a_failure_of_the_writers_own_is_asserted(head: str, tail: str, fenced: bool) -> None:
    for log in (LOG, TRACE, DOCKER):
        assert asserted(post(head, log, tail, fenced=fenced)) == asserted(log) != set()


def test_a_sentence_that_a_form_asks_with_supposes_nothing() -> None:
    form = f"If you see an error, please paste the log:\n\n{LOG}\n\nInstall method: Docker"
    assert "R03" in asserted(form)


def test_an_edit_below_a_log_does_not_take_it_back_and_one_above_it_does() -> None:
    assert "R03" in asserted(f"{LOG}\n\nEDIT: solved, it was the driver.")
    assert asserted(f"EDIT: solved, it was the driver.\n\n{LOG}") == set()
    both = f"EDIT: solved.\n\n{LOG}\n\nThat is fixed, but now I get another error:\n\n{TRACE}"
    assert asserted(both) == asserted(TRACE)


def test_of_two_peoples_failures_the_writers_own_is_asserted() -> None:
    text = f"A user on Reddit posted:\n\n{LOG}\n\nI get this instead:\n\n{DOCKER}"
    assert asserted(text) == asserted(DOCKER)


def test_a_card_that_only_answers_is_no_run_that_went_well() -> None:
    well = "$ hailortcli run x.hef\nx: FPS: 120.4"
    card = "$ hailortcli fw-control identify\nDevice Architecture: HAILO8"
    head = "Someone in the club posted this:"
    assert asserted(f"{head}\n\n{TRACE}\n\n{well}") == set()
    assert asserted(f"{head}\n\n{TRACE}\n\n{card}") == asserted(TRACE)


@pytest.mark.parametrize(
    "line",
    [
        "docker: Error response from daemon: no such file",
        "    raise the limit of this process now",
        "Traceback (most recent call last):",
        "pi@pi5:~ $ hailortcli run the file now",
        "[info] Start of the whole run now",
        "Killed",
    ],
)
def test_what_a_program_prints_is_no_sentence_of_a_person(line: str) -> None:
    assert not is_prose(line)


def test_a_log_of_many_sentences_is_no_post() -> None:
    noise = [f"The worker number {number} has begun its task" for number in range(400)]
    assert is_reported([*noise, "Suppose a user gets this:", "", LOG]) == set()


@pytest.mark.parametrize(
    "case",
    [one for one in load("mechanisms_three") if one.expected],
    ids=lambda case: case.name,
)
def test_a_post_about_a_failure_of_its_own_is_not_only_guessed_at(case: Case) -> None:
    assert asserted(case.log) & case.expected


@pytest.mark.parametrize(
    ("told", "over"),
    [
        ("Unblock-File cured that. Next:", True),
        ("I replaced it by scipy. Now", True),
        ("With quotes it copies. But then, on the Pi:", True),
        ("I replaced it by scipy, and it is the same. Now", False),
        ("I took the newer one. Why does it say", False),
    ],
)
def test_what_was_mended_is_over_where_another_failure_follows(told: str, over: bool) -> None:
    lines = ["ModuleNotFoundError: No module named 'sort'", told, "KeyError: 'detections'"]
    assert (0 in is_reported(lines)) is over
    assert is_reported([*lines[:2], lines[0]]) == set()
