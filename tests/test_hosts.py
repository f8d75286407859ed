"""Living inside a foreign process: C programs of ours and Pythons of all kinds load the shared object.

The numbers in the headings are those of section "Living inside a foreign process" of docs/architecture.md.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from compiled import programs
from modules import Module
from processes import run

import ptkc
from ptkc.wire.commands import BY_NAME

_SITES = list(dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib")))
_GENERAL_ERROR, _NOT_INITIALIZED = "0x5", "0x190"
_SOAK = bool(os.environ.get("PTKC_SOAK"))

Host = Callable[..., str]


@pytest.fixture(autouse=True)
def _only_ours(module: Module) -> None:
    """Skip these tests for another module: they are about how Python lives in ours."""
    if not module.ours:
        pytest.skip("the module under test is not ours")


@pytest.fixture(scope="session", name="programs")
def _programs() -> Path:
    """Return the directory of the compiled C programs."""
    return programs()


@pytest.fixture
def host(programs: Path, module: Module, env: dict[str, str]) -> Host:
    """Return a function that runs the C program `host` on the module and returns what it printed."""

    def run_host(*words: str, **more: object) -> str:
        return run(programs / "host", module.path, *words, **{"env": env, **more}).strip()

    return run_host


@pytest.fixture
def log(env: dict[str, str]) -> Path:
    """Return the path of the diagnosis log."""
    return Path(env["ET_PTKC_LOGGER_FILE"])


def _initialize(path: str | Path, code: str = "") -> str:
    """Return a Python program that prints what C_Initialize answers; `code` comes before it."""
    return textwrap.dedent(code) + (
        "\nimport ctypes\n"
        f"library = ctypes.CDLL({str(path)!r})\n"
        "library.C_Initialize.restype = ctypes.c_ulong\n"
        "print(hex(library.C_Initialize(None)), flush=True)\n"
    )


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Return the Python of a virtual environment without any package."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    return tmp_path / "bare" / "bin" / "python"


def copied_package(module: Module, target: Path) -> Path:
    """Copy the package to `target`, with links to what it needs, and return the shared object in the copy."""
    shutil.copytree(Path(module.path).parent, target / "ptkc", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("_cffi_backend*", "cryptography", "asn1crypto"):
        for entry in (entry for site in _SITES for entry in Path(site).glob(name)):
            (target / entry.name).symlink_to(entry)
    return target / "ptkc" / "libptkc.so"


# 0. What is built


def test_the_shared_object_exports_the_functions_of_cryptoki_and_the_vendor_and_nothing_else(
    module: Module, env: dict[str, str]
) -> None:
    """The 104 C_ functions and ten CT_ functions of the table; the embedding and the twins stay inside."""
    listed = run("nm", "-D", "--defined-only", module.path, env=env)
    names = [line.split()[-1] for line in listed.splitlines()]
    assert sorted(BY_NAME) == sorted(names)
    assert [104, 10] == [sum(name.startswith(prefix) for name in names) for prefix in ("C_", "CT_")]


def test_the_shared_object_is_linked_to_libpython_and_is_never_unloaded(module: Module, env: dict[str, str]) -> None:
    """A C host finds libpython by RUNPATH, without LD_LIBRARY_PATH, and dlclose leaves everything in place."""
    listed = run("readelf", "-d", module.path, env=env)
    assert re.search(rf"NEEDED.*libpython{sysconfig.get_python_version()}\.so", listed)
    assert "RUNPATH" in listed
    assert "NODELETE" in listed


def test_function_lists_and_interfaces_are_the_specifications(
    programs: Path, module: Module, env: dict[str, str]
) -> None:
    """2.40, 3.0, 3.2, the vendor's: order, versions, two-call protocol, names, flags, before and after C_Initialize."""
    run(programs / "lists", module.path, env=env)


# 1. A C host that loads with RTLD_LOCAL


def test_extension_modules_work_in_a_c_host_that_loads_locally(host: Host) -> None:
    """A key is made and used, which takes sqlite3 and cryptography: both look for Python in the global scope."""
    host("sign")


# 2. How Python is started


@pytest.mark.parametrize("name", ["PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONVERBOSE"])
def test_the_environment_items_of_python_are_not_heard(
    host: Host, env: dict[str, str], tmp_path: Path, name: str
) -> None:
    """Python is isolated: what is meant for other Pythons neither breaks ours nor lets others' code in."""
    for package in ("ptkc", "encodings", "sqlite3"):
        (tmp_path / "evil" / package).mkdir(parents=True, exist_ok=True)
        (tmp_path / "evil" / package / "__init__.py").write_text("import os; os.abort()", encoding="ascii")
    host("sign", env={**env, name: str(tmp_path / "evil")}, cwd=tmp_path / "evil")


def test_a_library_copied_away_says_so(
    programs: Path, module: Module, env: dict[str, str], log: Path, tmp_path: Path
) -> None:
    """It cannot find its package; the log names the way out."""
    copy = Path(shutil.copy(module.path, tmp_path))
    assert _GENERAL_ERROR == run(programs / "host", copy, "start", env=env).strip()
    assert "symbolic link" in log.read_text(encoding="utf-8")


def test_a_symbolic_link_to_the_library_works(
    programs: Path, module: Module, env: dict[str, str], tmp_path: Path
) -> None:
    """The real path counts."""
    link = tmp_path / "pkcs11.so"
    link.symlink_to(module.path)
    run(programs / "host", link, "sign", env=env)


def test_a_relative_path_works_after_the_host_went_elsewhere(
    programs: Path, module: Module, env: dict[str, str]
) -> None:
    """The library is loaded as ./libptkc.so, and C_Initialize called from another working directory."""
    path = Path(module.path)
    run(programs / "host", f"./{path.name}", "chdir", env=env, cwd=path.parent)


def test_no_bytecode_is_written(programs: Path, module: Module, env: dict[str, str], tmp_path: Path) -> None:
    """A package without bytecode has none after a start."""
    library = copied_package(module, tmp_path)
    run(programs / "host", library, "sign", env=env)
    assert [] == list((tmp_path / "ptkc").rglob("__pycache__"))


# 3. A start-up that fails


def test_a_failing_start_is_an_error_and_one_line_in_the_log(
    programs: Path, module: Module, env: dict[str, str], log: Path, tmp_path: Path
) -> None:
    """Left to itself cffi would answer CKR_OK; nothing is printed."""
    library = copied_package(module, tmp_path)
    (tmp_path / "ptkc" / "provider.py").write_text("raise ValueError('broken on purpose')\n", encoding="ascii")
    assert _GENERAL_ERROR == run(programs / "host", library, "start", env=env).strip()
    assert 1 == log.read_text(encoding="utf-8").count("broken on purpose")


def test_a_start_that_does_not_get_to_its_end_is_an_error(
    programs: Path, module: Module, env: dict[str, str], tmp_path: Path
) -> None:
    """The ready flag is set by the last line of the provider's start, and C_Initialize looks at it."""
    library = copied_package(module, tmp_path)
    text = "def start(): pass\ndef after_fork_in_child(): pass\n"
    (tmp_path / "ptkc" / "provider.py").write_text(text, encoding="ascii")
    assert _GENERAL_ERROR == run(programs / "host", library, "start", env=env).strip()


def test_another_version_beside_the_shared_object_is_refused(
    programs: Path, module: Module, env: dict[str, str], log: Path, tmp_path: Path
) -> None:
    """Half an upgrade: the Python files are not those that the shared object was built with."""
    library = copied_package(module, tmp_path)
    (tmp_path / "ptkc" / "__init__.py").write_text('__version__ = "0.0.1"\n', encoding="ascii")
    assert _GENERAL_ERROR == run(programs / "host", library, "start", env=env).strip()
    assert "0.0.1" in log.read_text(encoding="utf-8")


def test_an_upgrade_under_a_running_process_takes_the_device_away(
    module: Module, env: dict[str, str], log: Path, tmp_path: Path, bare: Path
) -> None:
    """What would be imported late is of another version by then: CKR_DEVICE_REMOVED, no mixture."""
    library = copied_package(module, tmp_path)
    code = _initialize(library) + (
        f"open({str(tmp_path / 'ptkc' / '__init__.py')!r}, 'w').write('__version__ = \"9.9\"')\n"
        "count = ctypes.c_ulong()\n"
        "print(hex(library.C_GetMechanismList(ctypes.c_ulong(0), None, ctypes.byref(count))))\n"
    )
    assert ["0x0", "0x32"] == run(bare, "-c", code, env=env).split()
    assert "is no more version" in log.read_text(encoding="utf-8")


def test_a_python_that_was_ended_is_an_error_not_a_crash(host: Host) -> None:
    """Somebody else in the process calls Py_FinalizeEx: every function says CKR_GENERAL_ERROR from then on."""
    host("end-python")


# 4. Python hosts


def test_a_host_in_the_same_environment_shares_all(module: Module, env: dict[str, str]) -> None:
    """No finder is installed when the host has all that is needed."""
    code = _initialize(module.path, "import sys; before = list(sys.meta_path), list(sys.path)")
    out = run(sys.executable, "-c", code + "assert before == (sys.meta_path, sys.path)", env=env)
    assert "0x0" == out.strip()


def test_a_host_without_our_packages_finds_them_behind_its_own(module: Module, env: dict[str, str], bare: Path) -> None:
    """One finder, the last; it serves our names only, sys.path is untouched, and a late import finds cryptography."""
    code = _initialize(module.path, "import sys; before, path = list(sys.meta_path), list(sys.path)") + textwrap.dedent(
        """
        assert before == sys.meta_path[:-1], sys.meta_path
        assert path == sys.path
        assert sys.meta_path[-1].find_spec("rich") is None
        import cryptography
        print(cryptography.__file__)
        """
    )
    out = run(bare, "-c", code, env=env).split()
    assert "0x0" == out[0]
    assert any(Path(out[1]).is_relative_to(site) for site in _SITES)


def test_a_hosts_directory_named_ptkc_does_no_harm(
    module: Module, env: dict[str, str], bare: Path, tmp_path: Path
) -> None:
    """`import ptkc` in a host that stands beside a checkout would find a namespace package."""
    (tmp_path / "work" / "ptkc").mkdir(parents=True)
    assert "0x0" == run(bare, "-c", _initialize(module.path), env=env, cwd=tmp_path / "work").strip()


@pytest.mark.parametrize("imported", [True, False], ids=["imported", "on the path"])
def test_a_host_with_an_old_cryptography_is_refused(
    module: Module, env: dict[str, str], log: Path, bare: Path, tmp_path: Path, *, imported: bool
) -> None:
    """Ours cannot stand beside it; the log names both versions."""
    old = tmp_path / "old" / "cryptography"
    old.mkdir(parents=True)
    (old / "__init__.py").write_text('__version__ = "38.0.4"\n', encoding="ascii")
    code = f"import sys; sys.path.insert(0, {str(old.parent)!r})\n" + ("import cryptography\n" if imported else "")
    out = run(bare, "-c", _initialize(module.path, code), env=env)
    assert _GENERAL_ERROR == out.strip()
    assert "cryptography 38.0.4" in log.read_text(encoding="utf-8")


def test_a_host_with_another_ptkc_is_refused(module: Module, env: dict[str, str], log: Path, bare: Path) -> None:
    """What the host already imported under our name has another version."""
    code = "import sys, types; other = sys.modules['ptkc'] = types.ModuleType('ptkc'); other.__version__ = '9.9'"
    assert _GENERAL_ERROR == run(bare, "-c", _initialize(module.path, code), env=env).strip()
    assert "ptkc 9.9" in log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("3.10.13 (main)", "3.10.13"),
        ("3.111.0 (main)", "3.111.0"),
        ("{}.1 experimental free-threading build (main)", "free-threaded"),
    ],
)
def test_a_foreign_python_is_refused_by_its_version(
    programs: Path, module: Module, env: dict[str, str], log: Path, version: str, reason: str
) -> None:
    """Py_GetVersion is asked before any other function of Python's; the log names what runs."""
    running = version.format(sysconfig.get_python_version())
    assert _GENERAL_ERROR == run(programs / "foreign", module.path, running, env=env, timeout=20).strip()
    assert reason in log.read_text(encoding="utf-8")


def test_a_debug_build_is_refused(module: Module, env: dict[str, str], log: Path) -> None:
    """A debug build has sys.gettotalrefcount."""
    code = _initialize(module.path, "import sys; sys.gettotalrefcount = lambda: 0")
    assert _GENERAL_ERROR == run(sys.executable, "-c", code, env=env).strip()
    assert "debug build" in log.read_text(encoding="utf-8")


@pytest.mark.parametrize("loader", ["CDLL", "PyDLL"])
def test_a_sub_interpreter_is_refused_and_the_main_one_is_not(
    module: Module, env: dict[str, str], log: Path, loader: str
) -> None:
    """With the GIL held or not; a sub-interpreter that calls after the main one gets an error too, not CKR_OK."""
    code = textwrap.dedent(
        f"""
        import ctypes, sys
        try:
            import _interpreters as interpreters
            other = interpreters.create("legacy")
        except ImportError:
            import _xxsubinterpreters as interpreters
            other = interpreters.create(isolated=False)
        call = {f"import ctypes; print(hex(ctypes.{loader}({module.path!r}).C_Initialize(None)), flush=True)"!r}
        interpreters.run_string(other, call)
        exec(call)
        interpreters.run_string(other, call)
        """
    )
    out = run(sys.executable, "-W", "ignore", "-c", code, env=env, timeout=20)
    assert [_GENERAL_ERROR, "0x0", _GENERAL_ERROR] == out.split()
    assert "sub-interpreter" in log.read_text(encoding="utf-8")


def test_a_second_copy_in_the_same_python_is_refused(
    module: Module, env: dict[str, str], log: Path, tmp_path: Path
) -> None:
    """Two copies would share sys.modules."""
    library = copied_package(module, tmp_path)
    code = _initialize(module.path) + _initialize(library)
    assert ["0x0", _GENERAL_ERROR] == run(sys.executable, "-c", code, env=env).split()
    assert "another libptkc.so" in log.read_text(encoding="utf-8")


def test_a_python_without_a_shared_libpython_cannot_build_and_is_told_the_cure(
    tmp_path: Path, env: dict[str, str]
) -> None:
    """The builder refuses before it compiles anything."""
    builder = Path(__file__).parents[1] / "native" / "build.py"
    if not builder.exists():
        pytest.skip("the sources are not here")
    code = (
        f"import sys, sysconfig; sys.path.insert(0, {str(builder.parent)!r}); import build, pathlib\n"
        "sysconfig.get_config_vars()['INSTSONAME'] = 'libpython.a'\n"
        f"build.build(pathlib.Path({str(tmp_path / 'none.so')!r}), tree=True)"
    )
    out = run(sys.executable, "-c", code, env=env, expect=1)
    assert "--enable-shared" in out
    assert not (tmp_path / "none.so").exists()


# 5. A good guest


def test_a_host_finds_everything_as_it_was(host: Host) -> None:
    """Signals, locale, umask, working directory, environment; no thread is left; nothing is printed."""
    assert int(host("no-trace")) <= 1  # the log


def test_nothing_is_printed_when_nothing_is_asked(host: Host, env: dict[str, str]) -> None:
    """Not even without a log."""
    assert not host("sign", env={name: value for name, value in env.items() if name != "ET_PTKC_LOGGER_FILE"})


def test_dlclose_leaves_a_library_that_can_be_loaded_again(host: Host, module: Module) -> None:
    """Nothing is unloaded, so nothing hangs in the air."""
    host("unload", module.path)


@pytest.mark.soak
@pytest.mark.parametrize("command", ["exit", "exit-raw"])
def test_a_host_may_exit_while_threads_sign(host: Host, command: str) -> None:
    """The status is exit's own: no crash, no hang, nothing printed. Once in `cryptography`, once in libcrypto."""
    for pause in range(60 if _SOAK else 12):
        assert not host(command, str(100 + 337 * pause), timeout=60)


# 6. Fork


@pytest.mark.soak
def test_a_c_host_forks_while_threads_sign(host: Host) -> None:
    """No child hangs; each is uninitialised until its own C_Initialize, then works; the parent goes on."""
    host("fork", "200" if _SOAK else "40", timeout=300)


def test_a_python_host_forks_while_threads_call(module: Module, env: dict[str, str], bare: Path) -> None:
    """The same through os.fork in an interpreter that is not ours."""
    code = _initialize(module.path) + textwrap.dedent(
        f"""
        import os, threading
        count = ctypes.c_ulong()
        stop = False
        def call():
            while not stop:
                library.C_GetSlotList(0, None, ctypes.byref(count))
        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads: thread.start()
        for _ in range(20):
            child = os.fork()
            if not child:
                own = ctypes.c_ulong()
                answers = [library.C_GetSlotList(0, None, ctypes.byref(own)), library.C_Initialize(None),
                           library.C_GetSlotList(0, None, ctypes.byref(own))]
                os._exit(0 if answers == [{_NOT_INITIALIZED}, 0, 0] else 1)
            assert os.waitpid(child, 0)[1] == 0
        stop = True
        for thread in threads: thread.join()
        """
    )
    run(bare, "-W", "ignore", "-c", code, env=env, timeout=60)


# 7. Start-up discipline


def test_start_loads_nothing_slow_and_nothing_cryptographic(host: Host, module: Module) -> None:
    """What C_OpenSession needs is lean; cryptography comes with the first cryptographic call; ctypes never."""
    loaded = set(host("modules", module.path).split())
    heavy = {
        "dataclasses", "typing", "enum", "re", "asn1crypto", "logging", "cryptography", "rich", "asyncio", "ctypes",
        "json", "pathlib", "hashlib", "ssl", "inspect", "site",
    }  # fmt: skip
    assert set() == heavy & loaded


# 8. C_Initialize's arguments


def test_the_arguments_of_c_initialize_are_checked(host: Host) -> None:
    """Some but not all mutex functions, or pReserved: CKR_ARGUMENTS_BAD. A second call: already. It can be repeated."""
    host("arguments")


def test_one_of_many_threads_initialises(host: Host) -> None:
    """Eight threads at once: one CKR_OK, seven CKR_CRYPTOKI_ALREADY_INITIALIZED."""
    assert "1 7" == host("threads")


# 9. Re-entry during start-up


def test_a_configuration_of_openssl_that_names_us_does_not_hang(
    host: Host, programs: Path, module: Module, env: dict[str, str], tmp_path: Path
) -> None:
    """What OPENSSL_CONF loads into our own start-up calls us: CKR_CRYPTOKI_NOT_INITIALIZED at once."""
    configuration, answers = tmp_path / "openssl.cnf", tmp_path / "answers"
    configuration.write_text(
        "openssl_conf = top\n[top]\nproviders = all\n[all]\ndefault = on\nreenter = reenter\n[on]\nactivate = 1\n"
        f"[reenter]\nmodule = {programs / 'reenter'}\nactivate = 1\n",
        encoding="ascii",
    )
    settings = {"OPENSSL_CONF": str(configuration), "REENTER_MODULE": module.path, "REENTER_ANSWERS": str(answers)}
    host("sign", env={**env, **settings}, timeout=30)
    lines = set(answers.read_text(encoding="ascii").splitlines())
    assert {f"0 {_NOT_INITIALIZED} {_NOT_INITIALIZED}"} == lines


# 10. A setuid host


def test_a_host_with_foreign_rights_hears_no_environment(
    host: Host, programs: Path, module: Module, env: dict[str, str], log: Path, tmp_path: Path
) -> None:
    """AT_SECURE is set by a set-group-ID bit: neither the data path nor the log of the environment is used."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make a set-group-ID program of another group")
    host("token")
    assert "host" == host("token-label")
    log.unlink(missing_ok=True)
    secure = Path(shutil.copy(programs / "host", tmp_path / "secure"))
    os.chown(secure, 0, 65534)
    secure.chmod(0o755 | stat.S_ISGID)
    home = tmp_path / "home"
    home.mkdir()
    assert "host" != run(secure, module.path, "token-label", env={**env, "HOME": str(home)}).strip()
    assert not log.exists()
    assert [] == list(home.iterdir())


# 12. Small stacks, closed descriptors


def test_a_thread_with_a_small_stack_does_everything(host: Host) -> None:
    """64 KiB are enough for start, key generation and signature."""
    host("small-stack")


def test_a_daemon_may_close_all_descriptors(host: Host) -> None:
    """After C_Initialize, as daemons do."""
    host("closed")


def test_nothing_is_written_to_files_that_took_our_descriptors(host: Host, log: Path) -> None:
    """A daemon that closed ours and opened its own: CKR_DEVICE_REMOVED, and the log says what to do."""
    host("closed-opened")
    assert "close them before C_Initialize" in log.read_text(encoding="utf-8")


def test_the_version_of_the_package_is_the_librarys(module: Module) -> None:
    """The shared object under test belongs to the package that these tests import."""
    assert Path(ptkc.__file__).parent == Path(module.path).parent
