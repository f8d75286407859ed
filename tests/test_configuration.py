"""The configuration items, their levels and files, and the log they turn on."""

import os
import pwd

import pytest

from ptkc import log
from ptkc.configuration import DEFAULT, ENVIRONMENT, SYSTEM, USER, Configuration, parse
from ptkc.items import ITEMS
from ptkc.sms.protection import LETTERS
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError

DATA = "ET_PTKC_SW_DATAPATH"
TRANSPORT = "ET_PTKC_SW_TRANSPORT"


@pytest.fixture
def files(tmp_path):
    """Return a function that writes the user and system file and reads the configuration."""
    (tmp_path / "home" / ".safenet").mkdir(parents=True)
    (tmp_path / "etc").mkdir()

    def read(user="", system="", *, secure=False, **environment):
        (tmp_path / "home" / ".safenet" / "et_ptkc").write_text(user)
        (tmp_path / "etc" / "et_ptkc").write_text(system)
        environment = {"HOME": str(tmp_path / "home"), **environment}
        return Configuration(secure=secure, environment=environment, system_directory=str(tmp_path / "etc"))

    return read


@pytest.fixture
def log_file(tmp_path):
    """Log to a file for one test."""
    path = tmp_path / "log"
    assert log.configure(str(path)) is None
    yield path
    log.configure(None)


def test_environment_comes_before_user_before_system_before_default(files):
    """The first level that has the item wins."""
    line = TRANSPORT + "=encoded"
    assert (ENVIRONMENT, "direct") == _found(files(line, line, **{TRANSPORT: "direct"}))
    assert (USER, "encoded") == _found(files(line, TRANSPORT + "=direct"))
    assert (SYSTEM, "encoded") == _found(files("", line))
    assert (DEFAULT, "direct") == _found(files())


def _found(configuration):
    setting = configuration.settings[TRANSPORT]
    return setting.level, setting.value


def test_empty_value_is_no_value(files):
    """An empty variable or line leaves the next level to decide."""
    assert (SYSTEM, "encoded") == _found(files(TRANSPORT + "=", TRANSPORT + "=encoded", **{TRANSPORT: ""}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=b", "b"),
        ("  A =  b c  ", "b c"),
        ("A=b # comment", "b"),
        ("A=b#c", "b#c"),
        ('A=" b # c "  # comment', " b # c "),
        ("A='b\"c'", 'b"c'),
        ("A=", ""),
        ("A=#c", ""),
        ("A=x\nA=b", "b"),
        ("\ufeff\n#A=x\n\nA=b=c\r\n", "b=c"),
    ],
)
def test_line_syntax(text, value):
    """Blanks, comments and quotes mean what the documentation says."""
    assert value == parse(text)[0]["A"][0]


@pytest.mark.parametrize("text", ["A", "A='b", "A='b' c", "=b", "export A=b"])
def test_line_that_is_no_item_is_named(text):
    """What is not understood is a problem with its line number, and gives no value."""
    values, wrong = parse("# first\n" + text)
    assert ({}, [2]) == (values, [line for line, _ in wrong])


def test_secure_host_honours_neither_environment_nor_user_file(files):
    """In a setuid host only the system file and defaults count; the home directory comes from the password file."""
    found = files(TRANSPORT + "=encoded", DATA + "=/srv/hsm", secure=True, **{DATA: "/attacker"})
    assert (DEFAULT, "direct", "/srv/hsm") == (*_found(found), found.data_path)
    home = pwd.getpwuid(os.geteuid()).pw_dir
    assert f"{home}/.local/share/ptkc" == files(secure=True, XDG_DATA_HOME="/attacker").data_path
    assert files(secure=True, CREDENTIALS_DIRECTORY="/attacker").credentials is None


def test_unset_home_comes_from_the_password_file():
    """HOME unset or relative: the user's directory of the password file."""
    home = pwd.getpwuid(os.geteuid()).pw_dir
    for environment in ({}, {"HOME": ""}, {"HOME": "relative"}):
        assert f"{home}/.local/share/ptkc" == Configuration(environment=environment).data_path


def test_user_without_any_home_has_no_data_path(monkeypatch):
    """Without HOME and without an entry in the password file there is no data path, and no failure."""
    monkeypatch.setattr(os, "geteuid", lambda: 3999999999)
    found = Configuration(environment={})
    assert (None, None) == (found.data_path, found.key_path)


def test_key_path_follows_the_data_path_if_only_that_is_set(files):
    """The three defaults of the key path."""
    home = files().home
    assert f"{home}/.config/ptkc/keys" == files().key_path
    assert "/c/ptkc/keys" == files(XDG_CONFIG_HOME="/c").key_path
    assert "/d.keys" == files(**{DATA: "/d/"}).key_path
    assert "/k" == files(DATA + "=/d", "ET_PTKC_SW_KEYPATH=/k").key_path


def test_relative_path_is_taken_from_the_environment_only(files, tmp_path, monkeypatch):
    """A relative path in a file would depend on where the host was started: refused, and not replaced by another."""
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "x") == files(**{DATA: "x"}).data_path
    found = files(DATA + "=x")
    assert (None, None) == (found.data_path, found.key_path)
    assert "et_ptkc:1): must be an absolute path" in found.problems[0]
    assert DATA in found.problems[0]


def test_tilde_is_the_home_directory(files):
    """A leading ~/ is expanded at every level."""
    assert files().home + "/d" == files(DATA + "=~/d").data_path


def test_value_that_is_not_understood_names_item_and_place(files):
    """An unknown value falls back to the default and is said."""
    found = files("\n" + TRANSPORT + "=fast")
    assert "direct" == found.transport
    assert [True] == [TRANSPORT in text and "et_ptkc:2" in text for text in found.problems]


def test_unknown_item_of_a_file_is_kept_for_the_doctor(files):
    """Items of the original that we do not have are no error."""
    found = files("ET_PTKC_GENERAL_LIBRARY_MODE=HA")
    assert ([], 1) == (found.problems, len(found.unknown))


def test_file_that_cannot_be_read_is_absent(files, tmp_path):
    """A directory or an endless file in the place of a file is said and ignored."""
    files()
    os.remove(tmp_path / "etc" / "et_ptkc")
    os.mkdir(tmp_path / "etc" / "et_ptkc")
    found = Configuration(environment={"HOME": "/nowhere"}, system_directory=str(tmp_path / "etc"))
    assert ["direct", 1] == [found.transport, len(found.problems)]


SMPR = "ET_PTKC_1197_SMPR"
SERVERS = "ET_HSM_NETCLIENT_SERVERLIST"


def test_policy_register_is_found_at_each_level(files):
    """For each HSM its own, by serial number; there is none without an item."""
    line = SMPR + "=SR"
    assert (ENVIRONMENT, "N") == files(line, line, **{SMPR: "N"}).settings[SMPR][1::-1]
    assert (USER, "SR") == files(line, SMPR + "=U").settings[SMPR][1::-1]
    assert (SYSTEM, "SR") == files("", line).settings[SMPR][1::-1]
    found = files(line, ET_PTKC_AB12_SMPR="NU")
    assert ["SR", "NU", ""] == [found.smpr(serial) for serial in ("1197", "AB12", "1111")]
    assert ([], []) == (found.problems, found.unknown)


@pytest.mark.parametrize("letters", ["X", "SX", "s", "S R", "S,R", "n"])
def test_policy_register_with_an_unknown_letter_is_an_error_that_names_it(files, letters):
    """It is not as if there were none: the HSM must not be used with less protection than somebody wanted."""
    found = files(f"{SMPR}='{letters}'", SMPR + "=S")
    assert found.smpr("1197") is None
    assert [True] == [SMPR in text and "et_ptkc:1" in text for text in found.problems]


@pytest.mark.parametrize("name", ["ET_PTKC__SMPR", "ET_PTKC_1_2_SMPR", "ET_PTKC_12345678901234567_SMPR"])
def test_policy_register_without_a_serial_number_is_no_item(files, name):
    """It is listed as unknown."""
    found = files(name + "=S")
    assert (1, False) == (len(found.unknown), name in found.settings)


def test_letters_of_the_register_are_those_of_secure_messaging():
    """Configuration knows which letters there are, secure messaging what they want."""
    (item,) = [item for item in ITEMS if item.kind == "letters"]
    assert set(LETTERS) == set(item.values)


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("hsm1", (("hsm1", 12396),)),
        ("hsm1:99", (("hsm1", 99),)),
        ("10.0.0.1  hsm2.example.org:12397", (("10.0.0.1", 12396), ("hsm2.example.org", 12397))),
        ("[2001:db8::1] [::1]:99", (("2001:db8::1", 12396), ("::1", 99))),
        ("2001:db8::1", (("2001:db8::1", 12396),)),
        ("unix:/run/ptkc/socket hsm1", (("/run/ptkc/socket", 0), ("hsm1", 12396))),
    ],
)
def test_server_list(files, text, servers):
    """Names, addresses and sockets, with or without a port."""
    found = files(**{SERVERS: text})
    assert (servers, []) == (found.servers, found.problems)


@pytest.mark.parametrize(
    "text",
    ["hsm1:", ":99", "hsm1:0", "hsm1:65536", "hsm1:x", "hsm1:-1", "[::1", "[::1]99", "[]:99", "unix:socket", "unix:"],
)
def test_server_that_is_none_is_an_error_that_names_it(files, text):
    """No server of such a list is used."""
    found = files(**{SERVERS: "good " + text})
    assert () == found.servers
    assert [True] == [SERVERS in problem and text in problem for problem in found.problems]


def test_network_items_have_files_of_their_own(files, tmp_path):
    """The class is the second word of the name: `et_hsm`."""
    files()
    (tmp_path / "etc" / "et_hsm").write_text(SERVERS + "=hsm1\nET_HSM_NETCLIENT_READ_TIMEOUT=7\n")
    found = Configuration(environment={"HOME": "/nowhere"}, system_directory=str(tmp_path / "etc"))
    assert ((("hsm1", 12396),), 7) == (found.servers, found.number("ET_HSM_NETCLIENT_READ_TIMEOUT"))


@pytest.mark.parametrize("text", ["0", "3601", "-1", "1.5", "ten", "\u0663", "99999999999999999999"])
def test_number_out_of_its_range_is_the_default(files, text):
    """And is said."""
    found = files(ET_HSM_NETCLIENT_READ_TIMEOUT=text)
    assert (120, 1) == (found.number("ET_HSM_NETCLIENT_READ_TIMEOUT"), len(found.problems))


def test_secure_host_takes_no_server_and_no_policy_of_its_caller(files):
    """Only the system file counts."""
    found = files(SMPR + "=S", SMPR + "=NU", secure=True, **{SERVERS: "evil", SMPR: "S"})
    assert ((), "NU") == (found.servers, found.smpr("1197"))


def test_each_item_has_a_meaning_and_follows_the_name_scheme():
    """ET_<class>_<component>_<item>, each with a meaning, a default and a rule for invalid values."""
    for item in ITEMS:
        assert "ET" == item.name.split("_")[0]
        assert item.meaning.endswith(".")
        assert item.default_text
        assert item.invalid in ("absent", "default")


def test_refused_call_is_one_line(log_file):
    """Function, code and reason stand in one line, whatever the reason has in it."""
    log.refused("C_Login", CryptokiError(CKR.PIN_INCORRECT, "slot 0\nforged line"))
    (line,) = log_file.read_text().splitlines()
    assert line.endswith("C_Login CKR_PIN_INCORRECT: slot 0?forged line")
    assert f" {os.getpid()}/" in line


def test_log_is_private(log_file):
    """The file is made with mode 0600 whatever the umask is."""
    assert 0o600 == os.stat(log_file).st_mode & 0o777


def test_bug_is_logged_without_its_message(log_file):
    """Types and frames, never the message, which may hold a value."""
    try:
        raise ValueError("secret")  # noqa: TRY301 - what is tested
    except ValueError:
        log.bug("C_Sign")
    text = log_file.read_text()
    assert "ValueError" in text
    assert "test_bug_is_logged_without_its_message" in text
    assert "secret" not in text


def test_log_through_a_symbolic_link_is_refused(tmp_path):
    """A link in the place of the log could make a privileged host write anywhere."""
    os.symlink(tmp_path / "target", tmp_path / "link")
    assert "no log" in log.configure(str(tmp_path / "link"))
    assert not log.enabled()
    assert not (tmp_path / "target").exists()


def test_closed_descriptor_is_not_written_to(log_file, tmp_path):
    """A daemon that closes all descriptors gets no log lines into what has the number next."""
    log.note("first")
    os.close(log._Log.descriptor)
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    os.dup2(other, log._Log.descriptor)
    log.note("second")
    assert b"" == os.read(other, 10)
    os.close(other)
    assert 2 == len(log_file.read_text().splitlines())


def test_mode_bugs_leaves_refused_calls_out(log_file):
    """ET_PTKC_LOGGER_MODE=bugs."""
    log.configure(str(log_file), "bugs")
    log.refused("C_Login", CryptokiError(CKR.PIN_INCORRECT))
    log.note("kept")
    assert 1 == len(log_file.read_text().splitlines())
