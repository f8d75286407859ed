"""The command-line tools: the scripts of tests/cli, and what cannot be said in them."""

import pathlib
import sqlite3
import subprocess
import sys

import pytest
from scripts import Script

from ptkc.configuration import Configuration
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token.keysource import FileKeySource
from ptkc.token.sqlite import SqliteStore
from ptkc.token.store import HsmRecord
from ptkc.tools import common, doctor
from ptkc.tools import ptkc as tool

_CLI = pathlib.Path(__file__).parent / "cli"
SCRIPTS = sorted([*_CLI.glob("*.txt"), *_CLI.glob("procedures/*.txt")])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path, tmp_path):
    """Every line of the script holds."""
    Script(path.read_text(), tmp_path).run()


def _run(capsys, action):
    """Run a command that does `action`; return (exit code, standard error)."""
    parser = common.Parser(prog="ctx")
    parser.set_defaults(run=action)
    return common.run(parser, []), capsys.readouterr().err


def _raise(error):
    def action(_):
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (common.ToolError("no such slot", "see `ctx l`"), "ctx: error: no such slot\nctx: hint: see `ctx l`\n"),
        (CryptokiError(CKR.PIN_INCORRECT), "ctx: error: CKR_PIN_INCORRECT\n"),
        (FileNotFoundError(2, "No such file or directory", "x"), "ctx: error: x: No such file or directory\n"),
    ],
)
def test_known_failure_is_a_message_and_exit_code_1(capsys, error, text):
    """What can go wrong is said in one line, and what to do in another."""
    assert (1, text) == _run(capsys, _raise(error))


def test_bug_is_a_message_without_its_values(capsys):
    """A bug says its type and place, never its message, which may hold a PIN."""
    code, text = _run(capsys, _raise(ValueError("1234")))
    assert 1 == code
    assert "ValueError at " in text
    assert "1234" not in text
    assert "Traceback" not in text


def test_interruption_is_exit_code_130(capsys):
    """Control-C ends quietly."""
    assert (130, "") == _run(capsys, _raise(KeyboardInterrupt()))


def test_closed_output_is_no_failure_to_complain_about(tmp_path):
    """`ptkc config | head -0` says nothing."""
    command = f"{sys.executable} -m ptkc.tools.ptkc config --json | true"
    root = pathlib.Path(doctor.module_path()).parent.parent
    done = subprocess.run(command, shell=True, cwd=root, env={"HOME": str(tmp_path)}, capture_output=True, check=False)
    assert b"" == done.stderr


def test_every_command_has_help_and_a_description():
    """`--help` of each sub-command says what it does."""
    for choice in tool.parser()._subparsers._group_actions[0].choices.values():
        assert choice.description


def test_table_for_a_pipe_is_aligned_and_not_ruled(capsys):
    """What other programs read has no rules and no colours."""
    common.print_table(("a", "b"), [("long", "x"), ("y", "")])
    assert "a     b\nlong  x\ny\n" == capsys.readouterr().out


def test_network_file_system_is_an_error(monkeypatch, tmp_path):
    """Databases on NFS are not opened, and the doctor says which item to change."""

    def refuse(path):
        raise CryptokiError(CKR.DEVICE_REMOVED, f"{path} is on a network file system")

    monkeypatch.setattr(doctor.place, "check_file_system", refuse)
    found = list(doctor._data_path(Configuration(environment={"ET_PTKC_SW_DATAPATH": str(tmp_path)})))
    assert [f"{tmp_path} is on a network file system"] == [f.text for f in found if f.state == "error"]


def test_openssl_configuration_that_names_the_module_is_noted(monkeypatch, tmp_path):
    """OPENSSL_CONF may make our own start-up load us again."""
    (tmp_path / "conf").write_text("MODULE_PATH = /usr/lib/libptkc.so\n")
    monkeypatch.setenv("OPENSSL_CONF", str(tmp_path / "conf"))
    assert ["note"] == [finding.state for finding in doctor._openssl(Configuration())]


def test_log_that_is_a_link_is_an_error(tmp_path):
    """The provider refuses to write through it, so the doctor must say so."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    found = list(doctor._log(Configuration(environment={"ET_PTKC_LOGGER_FILE": str(tmp_path / "link")})))
    assert ["error"] == [finding.state for finding in found]


def test_unknown_variable_of_ours_is_a_warning(monkeypatch):
    """A misspelt item is not silently nothing."""
    monkeypatch.setenv("ET_PTKC_SW_DATAPAHT", "/x")
    states = [finding.state for finding in doctor._items(Configuration()) if "DATAPAHT" in finding.text]
    assert ["warning"] == states


@pytest.fixture
def hsm(tmp_path):
    """Make the directory and the key file of an HSM; return (configuration, HSM directory, key file)."""
    directory = tmp_path / "data" / "1234567"
    directory.mkdir(parents=True)
    FileKeySource(str(tmp_path / "data.keys")).create("1234567")
    SqliteStore.create(str(directory), HsmRecord("1234567", 0, 1), [], 0o600)
    configuration = Configuration(environment={"ET_PTKC_SW_DATAPATH": str(tmp_path / "data")})
    return configuration, directory, tmp_path / "data.keys" / "1234567"


def _errors(configuration):
    return [finding.text for finding in doctor._hsms(configuration) if finding.state == "error"]


def test_sound_hsm_has_no_findings_but_its_size(hsm):
    """Key file and database fit."""
    configuration, directory, _ = hsm
    assert [f"{directory}: 0 tokens, 0 objects"] == [finding.text for finding in doctor._hsms(configuration)]


def test_lost_key_file_is_named(hsm):
    """An HSM whose key source is gone is an error that names the file."""
    configuration, _, key_file = hsm
    key_file.unlink()
    (text,) = _errors(configuration)
    assert str(key_file) in text


def test_open_key_file_is_named(hsm):
    """A key source that others may read is refused by the HSM, and the doctor says so."""
    configuration, _, key_file = hsm
    key_file.chmod(0o644)
    (text,) = _errors(configuration)
    assert str(key_file) in text


def test_damaged_database_is_named(hsm):
    """A database that is none is an error, not a crash."""
    configuration, directory, _ = hsm
    (directory / "store.db").write_bytes(b"no database" * 1000)
    (text,) = _errors(configuration)
    assert str(directory) in text


def test_database_of_a_newer_version_is_named(hsm):
    """The doctor does not guess at formats it does not know."""
    configuration, directory, _ = hsm
    link = sqlite3.connect(directory / "store.db")
    link.execute("PRAGMA user_version = 999")
    link.close()
    (text,) = _errors(configuration)
    assert "newer" in text


def test_doctor_changes_nothing(hsm):
    """Files and their contents are the same after an examination."""
    configuration, directory, key_file = hsm
    before = {path: path.read_bytes() for path in (*directory.iterdir(), key_file) if path.suffix != ".db-shm"}
    list(doctor._hsms(configuration))
    assert before == {path: path.read_bytes() for path in before}
