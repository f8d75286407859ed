"""The vendor's tools: what their command scripts cannot say. Arguments, generated documentation, files, letters."""

import argparse
import datetime as dt
import errno
import json
import os
import pathlib
import subprocess
import sys
import time
import tomllib

import pytest
from pkcs11 import ObjectClass

from ptkc.tools import adapter, arguments, common, ctkmu, ctlimits, files, keyfiles, manual, objects, subjects
from ptkc.vendor import Attribute

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_TOOLS = sorted(manual.TOOLS)


def _run(tool, *words, **keywords):
    """Run a tool as a process of its own, in an empty home."""
    command = [sys.executable, "-m", f"ptkc.tools.{tool}", *words]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT), **keywords.pop("env", {})}
    keywords = {"input": "", "timeout": 120, **keywords}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, **keywords)


# Arguments


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("ctconf", ["-fz"]),
        ("ctconf", ["-m3"]),
        ("ctconf", ["-c1", "-t"]),
        ("ctconf", ["-cx"]),
        ("ctkmu", []),
        ("ctkmu", ["q"]),
        ("ctkmu", ["c", "-s0"]),
        ("ctkmu", ["c", "-s0", "-nk", "-tidea"]),
        ("ctkmu", ["c", "-s0", "-nk", "-tec", "-Cnone"]),
        ("ctkmu", ["c", "-s0", "-nk", "-taes", "-aQ"]),
        ("ctkmu", ["m", "-s0", "-nk"]),
        ("ctkmu", ["m", "-s0", "-nk", "-aE", "-rE"]),
        ("ctkmu", ["x", "-s0", "file"]),
        ("ctkmu", ["x", "-s0", "-M5,3", "file"]),
        ("ctkmu", ["l", "-s-1"]),
        ("ctcert", ["c", "-s0", "-lx"]),
        ("ctcert", ["c", "-s0", "-lx", "-k", "-cPOK"]),
        ("ctcert", ["x", "-s0"]),
        ("ctlimits", ["vk", "-kx"]),
        ("ctlimits", ["ct", "-ka/b", "-S1", "-tx", "-lx", "file"]),
        ("ctlimits", ["ct", "-ka/b", "-S1", "-tx", "-lx", "-i01", "file"]),
        ("ctlimits", ["up", "-ka/b"]),
        ("ctlimits", ["up", "-ka/b", "-s20201301"]),
        ("ctcheck", ["-bnothing"]),
        ("ctstat", ["-sx"]),
        ("hsmstate", ["--nothing"]),
        ("hsmreset", ["a", "b"]),
    ],
)
def test_wrong_arguments_are_exit_code_2_and_nothing_is_made(tool, words, tmp_path):
    """What is wrong is said in one line, where help is in another, before anything is looked for."""
    done = _run(tool, *words, env={"HOME": str(tmp_path)}, cwd=tmp_path)
    assert 2 == done.returncode
    assert "" == done.stdout
    first, second = done.stderr.splitlines()
    assert first.startswith(f"{tool}: error: ")
    assert second.startswith(f"{tool}: hint: see `{tool}")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("tool", _TOOLS)
def test_every_argument_and_command_has_a_help(tool):
    """No option and no sub-command is without a sentence."""
    pending = [manual.parser(tool)]
    while pending:
        parser = pending.pop()
        assert parser.description
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                pending += action.choices.values()
            else:
                assert action.help, (parser.prog, action.dest)
        parser.format_help()


@pytest.mark.parametrize("words", [["-s0"], ["-s", "0"], ["-s0x0"]])
def test_value_may_be_glued_to_its_letter_or_not(words):
    """`-s0` and `-s 0` are the same."""
    assert 0 == ctkmu.parser().parse_args(["l", *words]).slot


@pytest.mark.parametrize("words", [["-aEDS"], ["-a", "E", "D", "S"], ["-a", "E,D,S"], ["-a", "EDS", "E"]])
def test_attribute_letters_may_be_one_word_or_more(words):
    """`-aEDS` and `-a E D S` are the same."""
    options = ctkmu.parser().parse_args(["c", "-s0", "-taes", "-nk", *words])
    assert set("EDS") == set("".join(options.given))


def test_both_import_letters_are_one():
    """The vendor's text has I and i."""
    assert "I" == objects.letters("iI")


def test_abbreviated_option_is_none():
    """A later option must not change what a script's abbreviation means."""
    with pytest.raises(SystemExit):
        ctkmu.parser().parse_args(["l", "--js"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("KEYS/k", ("KEYS", None, "k")),
        ("KEYS(1234)/k", ("KEYS", "1234", "k")),
        ("AdminToken (1197)/k", ("AdminToken ", "1197", "k")),
        ("0(a)b)/c/k", ("0", "a)b", "c/k")),
    ],
)
def test_keyspec_is_token_pin_and_label(text, expected):
    """A PIN may have any characters in it."""
    assert expected == tuple(ctlimits._keyspec(text))


def test_keyspec_that_is_none_is_not_repeated():
    """It may hold a PIN."""
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        ctlimits._keyspec("KEYS(1234)")
    assert "1234" not in str(refused.value)


@pytest.mark.parametrize("text", ["20300131", "2030-01-31"])
def test_day_may_be_written_in_two_ways(text):
    """As Cryptoki and as ISO have it."""
    assert dt.date(2030, 1, 31) == arguments.date(text)


@pytest.mark.parametrize("text", ["3,5", "3-of-5", "3of5"])
def test_shares_may_be_written_in_several_ways(text):
    """3 of 5."""
    assert (3, 5) == keyfiles._shares(text)


# Objects


@pytest.mark.parametrize("name", ["secp256r1", "P-256", "prime256v1", "SECP256R1"])
def test_curve_is_known_by_its_names(name):
    """Its object identifier is what the key gets."""
    assert bytes.fromhex("06082a8648ce3d030107") == objects.parameters(objects.curve(name))


def test_letters_that_are_not_given_are_false():
    """So the literal `-aX` is neither private nor sensitive."""
    found = objects.template(ObjectClass.PRIVATE_KEY, "X")
    assert found[Attribute.EXTRACTABLE] is True
    assert found[Attribute.PRIVATE] is False
    assert found[Attribute.SENSITIVE] is False
    assert Attribute.ENCRYPT not in found
    assert Attribute.EXPORTABLE not in found


def test_usual_letters_are_letters():
    """The table of key types has no letter of its own."""
    assert all(making.letters == objects.letters(making.letters) for making in objects.KEY_TYPES.values())


class _Named:
    """An object as `pick` sees it."""

    def __init__(self, handle, object_class):
        self.handle = handle
        self.values = {Attribute.CLASS: object_class, Attribute.LABEL: "x", Attribute.VALUE: b"?"}

    def get_attributes(self, keys):
        return {key: self.values[key] for key in keys if key in self.values}


@pytest.fixture
def two():
    """Return a request and a certificate with one label."""
    return [_Named(1, ObjectClass(0x80000201)), _Named(2, ObjectClass.CERTIFICATE)]


@pytest.mark.parametrize(("answer", "expected"), [("1", [1]), (" 2 ", [2]), ("all", [1, 2])])
def test_one_of_several_is_chosen_by_number(monkeypatch, two, answer, expected):
    """Or all of them, where that makes sense."""
    monkeypatch.setattr(common, "read_line", lambda _: answer)
    assert expected == [each.handle for each in objects.pick(two, several=True)]


@pytest.mark.parametrize("answer", ["0", "3", "", "x", "all", "²", None])
def test_choice_that_is_none_ends_the_command(monkeypatch, two, answer):
    """There is no second question."""
    monkeypatch.setattr(common, "read_line", lambda _: answer)
    with pytest.raises(common.ToolError):
        objects.pick(two)


def test_only_object_is_not_asked_for(two):
    """One is one."""
    assert two[:1] == objects.pick(two[:1])


# Subjects, times


def test_subject_is_entered_field_by_field(monkeypatch):
    """An empty line leaves a field out; the country is the first part in DER."""
    answers = iter(["a", "", "", "Wien", "", "AT"])
    monkeypatch.setattr(common, "read_line", lambda _: next(answers))
    assert subjects.ask("CN=a,L=Wien,C=AT") == subjects.ask(None)


@pytest.mark.parametrize("answers", [["", "", "", "", "", ""], ["a", None], ["", "", "", "", "", "Austria"]])
def test_subject_that_is_none_is_refused(monkeypatch, answers):
    """Nothing at all, an end of the input, a country of more than two letters."""
    left = iter(answers)
    monkeypatch.setattr(common, "read_line", lambda _: next(left))
    with pytest.raises(common.ToolError):
        subjects.ask(None)


@pytest.mark.parametrize("text", ["", "a", "CN=", "=x"])
def test_given_subject_that_is_none_is_refused(text):
    """Also one without any part."""
    with pytest.raises(common.ToolError):
        subjects.ask(text)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC0", "30/08/2016 15:07:04 (+0:00)"),
        ("EST5EDT,M3.2.0,M11.1.0", "30/08/2016 11:07:04 (-5:00+DST)"),
        ("IST-5:30", "30/08/2016 20:37:04 (+5:30)"),
    ],
)
def test_time_is_shown_as_the_vendor_shows_it(monkeypatch, zone, expected):
    """Local time, the distance of the zone, and whether it is summer."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert expected == adapter.local_time(1472569624)
    finally:
        monkeypatch.undo()
        time.tzset()


# Files


def test_file_is_not_overwritten_without_a_yes(monkeypatch, tmp_path):
    """The end of the input is a no."""
    path = tmp_path / "file"
    path.write_bytes(b"before")
    monkeypatch.setattr(common, "read_line", lambda _: None)
    with pytest.raises(common.ToolError):
        files.write(str(path), b"after", yes=False)
    assert b"before" == path.read_bytes()
    files.write(str(path), b"after", yes=True)
    assert b"after" == path.read_bytes()


def test_file_with_the_same_contents_is_nothing_to_ask_about(tmp_path):
    """A command can simply be run again."""
    files.write(str(tmp_path / "file"), b"same", yes=False)
    files.write(str(tmp_path / "file"), b"same", yes=False)
    assert [tmp_path / "file"] == list(tmp_path.iterdir())


def test_secret_file_is_for_its_owner(tmp_path):
    """Backups and shares are nobody else's."""
    files.write(str(tmp_path / "file"), b"secret", yes=False, secret=True)
    assert 0o600 == (tmp_path / "file").stat().st_mode & 0o777


def test_full_disk_leaves_nothing_and_is_one_error(monkeypatch, tmp_path):
    """Neither the file nor what was written of it."""

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(common.ToolError, match="No space left"):
        files.write(str(tmp_path / "file"), b"data", yes=False)
    assert [] == list(tmp_path.iterdir())


# What is generated


def test_documentation_is_that_of_the_parsers():
    """`docs/manual.py --check` finds man pages and docs/tools.md as they should be."""
    command = [sys.executable, _ROOT / "docs" / "manual.py", "--check"]
    checked = subprocess.run(command, capture_output=True, check=False, text=True)
    assert (0, "") == (checked.returncode, checked.stderr)


def test_every_tool_is_installed():
    """pyproject.toml and the manual name the same tools."""
    scripts = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {tool: f"ptkc.tools.{module}:main" for tool, module in manual.TOOLS.items()}


def test_man_page_has_its_sections():
    """Name, synopsis, description, commands, environment, exit status, examples."""
    page = manual.page("ctkmu")
    assert page.startswith('.TH CTKMU 1 "" "ptkc" "ptkc"\n.SH NAME\nctkmu \\- ')
    for section in ("SYNOPSIS", "DESCRIPTION", "COMMANDS", "ENVIRONMENT", "EXIT STATUS", "EXAMPLES", "SEE ALSO"):
        assert f"\n.SH {section}\n" in page
    assert "\\fB\\-s\\fR \\fI<slot>\\fR" in page


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ctcert", ""], "c"),
        (["ctcert", "x", "-"], "-l"),
        (["ptkc", "hsm", "re"], "restart"),
        (["ptkc", "completion", ""], "bash"),
        (["ctcert", "i", "-f", "some"], "some.crt"),
        (["ctkmu", "i", "-s0", "some"], "some.crt"),
    ],
)
def test_completion_knows_commands_options_and_files(tmp_path, words, expected):
    """The script that `ptkc completion bash` prints does it in bash."""
    (tmp_path / "some.crt").touch()
    script = manual.completion() + 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ptkc; echo "${COMPREPLY[@]}"'
    command = ["bash", "-c", script, "bash", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert expected in done.stdout.split()
    assert "" == done.stderr


# Tickets, from making to presenting: they need a CKA_ID, which scripts cannot know


def test_ticket_changes_a_limit_once(tmp_path):
    """Signed by the certificate's key it is taken, but neither again nor by another key's signature."""
    pins = {"ADMIN": "admin-1", "ASO": "aso-1", "SO": "so-pin", "USER": "user-1"}
    env = {"HOME": str(tmp_path), **{f"PTKC_{role}_PIN": pin for role, pin in pins.items()}}

    def run(line, code=0):
        tool, *words = line.split()
        done = _run(tool, *words, env=env, cwd=tmp_path)
        assert code == done.returncode, (line, done.stderr)
        return done

    for line in (
        "ptkc hsm add 1197",
        "ctconf --yes",
        "ctkmu t -s0 -lKEYS",
        "ctcert c -s0 -k -Csecp384r1 -lboss --subject CN=boss",
        "ctcert c -s0 -k -z2048 -lrsa --subject CN=rsa",
        "ctcert x -s0 -lboss -fboss.crt",
        "ctcert x -s0 -lrsa -frsa.crt",
        "ctkmu c -s0 -taes -npay",
        "ctlimits up -kKEYS/pay -cboss.crt -L5",
    ):
        run(line)
    key_id = json.loads(run("ctkmu l -s0 -npay --json").stdout)["objects"][0]["id"]
    target = f"-S1197 -i{key_id} -tKEYS -lpay"
    run(f"ctlimits ct -kKEYS/boss {target} -L500 -mmore first")
    run(f"ctlimits ct -kKEYS/rsa {target} -L600 forged")
    assert "Usage Limit       : 500\n" in run("ctlimits pt first -kKEYS/pay").stdout
    assert "presented already" in run("ctlimits pt first -kKEYS/pay", 1).stderr
    assert "CKR_SIGNATURE_INVALID" in run("ctlimits pt forged -kKEYS/pay", 1).stderr
    assert "not for 'other'" in run("ctlimits pt first -kKEYS/other", 1).stderr
    run(f"ctlimits ct -kKEYS/boss {target} -crsa.crt -e20991231 -d2 second")
    run("ctlimits pt second -kKEYS/pay")
    run(f"ctlimits ct -kKEYS/rsa {target} -L700 third")
    shown = json.loads(run("ctlimits pt third -kKEYS/pay") and run("ctlimits vk -kKEYS/pay --json").stdout)
    assert (700, "2099-12-31", "CN=rsa") == (shown["limit"], shown["end"], shown["administrator"])
