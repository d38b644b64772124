"""Other languages: how one is chosen, that its catalogue is true, and what is shown in it."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path

import pytest

from orchestrator import language
from orchestrator.cli.app import build_app, command_of, language_first, names_in, run
from orchestrator.device.base import EMBEDDED
from orchestrator.diagnose.catalogue import load_catalogue
from orchestrator.pipeline.device_choice import DeviceChoice
from orchestrator.report.model import Check
from tests.words.catalogue import KINDS, catalogues, compiled, read, renewed, wanted
from tests.words.source import template

VALUE = re.compile(r"%\d(?!\d)")
CODE = re.compile(r"`[^`]*`")
KNOWN = ("en", "pt-BR")


@pytest.fixture
def portuguese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(language.VARIABLE, "pt-BR")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "pt_BR.UTF-8"}, "pt-BR"),
        ({"LANG": "pt"}, "pt-BR"),
        ({"LANG": "pt_PT@euro"}, "pt-BR"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "pt_BR.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "pt_BR.UTF-8"}, "pt-BR"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "de:pt_BR:en"}, "pt-BR"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "en:pt_BR"}, "en"),
        ({"LC_ALL": "C.UTF-8", "LANGUAGE": "pt_BR"}, "en"),
        ({"LANGUAGE": "pt_BR"}, "pt-BR"),
        ({"LANG": "pt_BR.UTF-8", language.VARIABLE: "en"}, "en"),
        ({"LANG": "C", language.VARIABLE: "pt-br"}, "pt-BR"),
    ],
)
def test_the_environment_chooses(environ: dict[str, str], expected: str) -> None:
    assert language.chosen(environ, KNOWN) == expected


@pytest.mark.parametrize("path", catalogues(), ids=lambda path: path.stem)
def test_a_catalogue_has_only_messages_that_there_are_and_keeps_their_values(path: Path) -> None:
    known = wanted()
    commands = names_in(build_app())
    messages = [one for one in read(path) if one.id and one.string]
    for one in messages:
        said = str(one.string)
        assert set(VALUE.findall(one.id)) == set(VALUE.findall(said)), one.id
        # An option and a command are no words of a language.
        for token in re.findall(r"(?<!\w)--[a-z][\w-]+", one.id):
            assert token in said, (one.id, token)
        for command in re.findall(r"\bhef ([a-z]+)\b", one.id):
            assert command not in commands or f"hef {command}" in said, (one.id, command)
        # What stands in backticks is typed, or is a line of another program.
        assert sorted(CODE.findall(one.id)) == sorted(CODE.findall(said)), one.id
    stale = [one.id for one in messages if one.id not in known]
    # What is said in other words today is English until python -m tests.words has been run.
    assert len(stale) < len(messages) / 30, stale


@pytest.mark.parametrize("path", catalogues(), ids=lambda path: path.stem)
def test_the_program_reads_what_people_wrote(path: Path) -> None:
    with path.with_suffix(".mo").open("rb") as file:
        read_back = language.Catalogue(file).messages
    written = {one.id: one.string for one in read(path) if one.id and one.string}
    assert read_back == written, "run: python -m tests.words"
    assert language.Catalogue(BytesIO(compiled(path))).messages == written


def test_nearly_all_messages_are_in_portuguese() -> None:
    have = {one.id for one in read(language.FOLDER / "pt_BR.po") if one.string}
    missing = [text for text in wanted(KINDS) if text not in have]
    # New ones come every day; python -m tests.words puts them into the file to be translated.
    assert len(missing) < len(wanted(KINDS)) / 10, missing
    # Of errors, and of the causes and remedies of known failures, those that people meet.
    for kind, most in (("error", 200), ("cause", 60), ("remedy", 60)):
        assert len([text for text in wanted((kind,)) if text in have]) >= most, kind


def test_hailort_is_masculine_in_portuguese() -> None:
    feminine = re.compile(
        r"\b(?:a|à|da|na|pela|uma|esta|desta|nesta|toda)( própria)? HailoRT\b", re.IGNORECASE
    )
    messages = [str(one.string) for one in read(language.FOLDER / "pt_BR.po") if one.id]
    assert not [said for said in messages if feminine.search(said)]


def filled(form: str, values: tuple[str, ...]) -> str:
    return VALUE.sub(lambda one: values[int(one.group()[1]) - 1], form)


@pytest.mark.parametrize("path", catalogues(), ids=lambda path: path.stem)
def test_every_message_is_found_again_with_values_in_it(path: Path) -> None:
    with path.with_suffix(".mo").open("rb") as file:
        catalogue = language.Catalogue(file)
    for text, said in catalogue.messages.items():
        values = ("7", "kitchen", "a/b.onnx", "3,1,2", "x", "y", "z", "q", "w")

        shown = catalogue.tell(filled(text, values))
        # Two messages may be alike once they are filled; the values are kept in any case.
        kept = all(values[int(one[1]) - 1] in shown for one in VALUE.findall(text))
        assert shown == filled(said, values) or kept, text


def test_what_a_status_of_hailort_means_is_told(portuguese: None) -> None:
    # It is a value of a cause: taken over as it is, it would stand there in English.
    cause = load_catalogue()["T02"].cause
    cause = re.sub(r"\{meaning\|[^}]*\}", "there are no DMA descriptors left", cause)
    cause = re.sub(r"\{status\|[^}]*\}", "HAILO_OUT_OF_DESCRIPTORS (47)", cause)
    assert "HAILO_OUT_OF_DESCRIPTORS (47): não há mais descritores de DMA." in language.told(cause)


def test_an_address_has_no_value_and_a_quotation_may_be_any_words(portuguese: None) -> None:
    remedy = load_catalogue()["V18"].remedy
    assert "%40" in remedy
    assert language.told(remedy).startswith("Ponha usuário e senha no endereço")
    assert "%40" in language.told(remedy)
    # Three words say enough where a colon ends them; what follows is another program's.
    quoted = "no route to 10.0.0.7 from here"
    assert language.told(f"DeGirum's library stopped: {quoted}.") == (
        f"A biblioteca da DeGirum parou: {quoted}."
    )
    assert language.told("it stays when line 7 is mended") == (
        "continua depois que a linha 7 é corrigida"
    )


def test_the_line_of_a_device_and_what_was_asked_are_told(portuguese: None) -> None:
    choice = DeviceChoice((EMBEDDED,), "no Pi is known; hef device add makes one known")
    assert language.told(str(choice)) == (
        "dispositivo: embedded (nenhum Pi cadastrado; hef device add cadastra um)"
    )
    check = Check(measure="top1_drop", step="device", value=0.5, limit=1.5, passed=True)
    assert language.told(check.text).endswith("é 0.5, pede-se no máximo 1.5")


def test_how_far_a_line_stands_in_is_no_part_of_its_message(portuguese: None) -> None:
    shown = language.told("digits\n   Run the same command again.")
    assert shown == "digits\n   Rode o mesmo comando de novo."


def test_parts_of_a_message_are_messages(portuguese: None) -> None:
    headline = (
        "passed: the model works on the device, right on 97.5% of 40 labelled samples "
        "(87.1% to 99.6%; guessing 17.5%) (emulated)"
    )
    assert language.told(headline) == (
        "aprovado: o modelo funciona no dispositivo, acerta 97.5% de 40 amostras com rótulo "
        "(87.1% a 99.6%; chute: 17.5%) (emulado)"
    )
    assert language.told("Run the same command again.\n/a/path of a stranger's") == (
        "Rode o mesmo comando de novo.\n/a/path of a stranger's"
    )


def test_english_and_what_nobody_translated_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(language.VARIABLE, "en")
    assert language.told("Run the same command again.") == "Run the same command again."
    monkeypatch.setenv(language.VARIABLE, "pt-BR")
    assert language.told("No message of ours.") == "No message of ours."
    # Another sentence that begins like "there is no FILE".
    assert (
        language.told("there is no cable in /home/ana yet") == "there is no cable in /home/ana yet"
    )
    assert language.told("there is no a.sig") == "não existe a.sig"
    assert language.told("x" * 100_000) == "x" * 100_000


def test_errors_are_told_in_it_and_json_is_not(
    portuguese: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["lint", "no.alls", "--arch", "hailo9", "--json"]) != 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["error"]["hint"] == "Name it as a recipe does, such as hailo8l."
    assert "dica: Indique-o como em uma receita, por exemplo hailo8l" in shown.err


def test_the_option_chooses_and_is_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(language.VARIABLE, "en")
    assert run(["--lang", "pt-BR"]) == 0
    assert "todos os comandos" in capsys.readouterr().out
    assert run(["--lang", "tlh", "ps"]) == 2
    assert command_of(["--lang", "pt-BR", "up", "digits"]) == "up"
    assert command_of(["--lang=pt-BR", "--debug", "build"]) == "build"
    assert language_first(["up", "x", "--lang", "pt", "-v"]) == ["--lang", "pt", "up", "x", "-v"]
    assert language_first(["up", "--lang=pt"]) == ["--lang=pt", "up"]
    assert language_first(["up", "--lang"]) == ["up", "--lang"]
    theirs = ["shell", "x", "--", "program", "--lang", "pt"]
    assert language_first(theirs) == theirs


def test_another_language_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What python -m tests.words es writes, with two messages filled in by somebody.
    path = tmp_path / "es.po"
    path.write_bytes(renewed(path))
    assert {one.id for one in read(path) if one.id} == set(wanted())
    assert not any(one.string for one in read(path) if one.id)
    said = {
        "%1 of %2 images cannot be used: %3": "%3: mal %1 de %2",
        "hint": "pista",
    }
    assert set(said) <= set(wanted())
    path.write_bytes(renewed(path, said))
    path.with_suffix(".mo").write_bytes(compiled(path))
    monkeypatch.setattr(language, "FOLDER", tmp_path)
    language._catalogue.cache_clear()
    monkeypatch.setenv(language.VARIABLE, "es_MX.UTF-8")

    assert language.languages() == ["en", "es"]
    assert language.told("2 of 9 images cannot be used: a.png") == "a.png: mal 2 de 9"
    assert language.told("hint") == "pista"
    assert language.told("Run the same command again.") == "Run the same command again."
    language._catalogue.cache_clear()


def test_templates_are_read_out_of_the_source() -> None:
    import ast

    def of(code: str) -> str | None:
        return template(ast.parse(code, mode="eval").body)

    assert of('f"{a} of {len(b)}, {{x}}"') == "%1 of %2, {x}"
    assert of('"%d of %.3g: 5 %%" % (a, b)') == "%1 of %2: 5 %"
    assert of('"a {} b".format(c)') == "a %1 b"
    assert of("name") is None


def test_a_template_of_one_word_is_not_found_inside_sentences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEFSMITH_LANG", "pt-BR")
    assert language.told("waste for hailo8l") == "waste para hailo8l"
    sentence = "accuracy may suffer, and heads for poses may not fit"
    assert language.told(sentence) == sentence


def test_printed_lines_are_told_and_quoted_ones_are_not(
    portuguese: None, capsys: pytest.CaptureFixture
) -> None:
    from orchestrator.cli.output import note, print_result

    line = "no build runs; start one in the background with: hef up MODEL --detach"
    note(f"note: {line}")
    print_result(line)
    print_result(line, quoted=True)
    shown = capsys.readouterr()
    assert shown.err.startswith("nota: nenhum build em execução")
    told, quoted = shown.out.splitlines()
    assert told.startswith("nenhum build")
    assert quoted == line


def test_findings_about_calibration_are_told(portuguese: None) -> None:
    from hefsmith_worker.contract.findings import Finding

    from orchestrator.cli.calib import _finding_lines

    text = "3 of 4 images are at most half of the 32x32 that they are enlarged to"
    finding = Finding("calib.small", "warning", text, fix="Run the same command again.")
    first, second = _finding_lines(finding)
    assert first.startswith("aviso     3 de 4 imagens têm no máximo metade dos 32x32")
    assert first.endswith("[calib.small]")
    assert second.strip() == "Rode o mesmo comando de novo."


def test_a_question_is_asked_in_it(portuguese: None, capsys: pytest.CaptureFixture) -> None:
    from orchestrator.cli.asking import Asker
    from orchestrator.project.survey.questions import Question

    reason = "several are here; the first is whole, or the newest"
    question = Question("network", "Which network?", (("0", "a.pt"), ("1", "b.pt")), "0", reason)
    assert Asker(yes=True)(question) == "0"
    assert capsys.readouterr().err.startswith("adotado: Qual rede? a.pt: há várias aqui")
