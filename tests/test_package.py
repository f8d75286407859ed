"""The wheel: it carries a shared object that works where it is installed, and is for one Python only."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from compiled import programs
from modules import Module
from processes import run

_TOP = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel from a copy of the sources, with the setuptools that is here."""
    if not (_TOP / "setup.py").exists():
        pytest.skip("the sources are not here")
    if int(importlib.metadata.version("setuptools").split(".")[0]) < 77:
        pytest.skip("setuptools is older than the one that the package asks for")
    top = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ("native", "ptkc"):
        shutil.copytree(_TOP / name, top / "source" / name, ignore=ignored)
    shutil.copytree(_TOP / "docs" / "man", top / "source" / "docs" / "man")
    for file in _TOP.iterdir():
        if file.is_file() and not file.name.startswith("."):
            shutil.copy(file, top / "source")
    command = [
        sys.executable,
        "-c",
        "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))",
        str(top),
    ]
    subprocess.run(command, check=True, cwd=top / "source", capture_output=True)
    (built,) = top.glob("*.whl")
    return built


def test_the_wheel_is_for_this_python_only(wheel: Path) -> None:
    """The shared object is linked to one libpython, so the tag names one CPython."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert f"-{tag}-{tag}-" in wheel.name


def test_the_wheel_has_the_package_and_nothing_of_its_making(wheel: Path) -> None:
    """The shared object under its own name, every module, the licence, man pages; no C and no tests."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    modules = {str(path.relative_to(_TOP)) for path in (_TOP / "ptkc").rglob("*.py")}
    assert set() == modules - set(names)
    assert "ptkc/libptkc.so" in names
    pages = {path.name for path in (_TOP / "docs" / "man").iterdir()}
    assert pages == {name.rpartition("/")[2] for name in names if "/share/man/man1/" in name}
    assert [] == [name for name in names if not name.startswith(("ptkc/", "ptkc-"))]
    assert [] == [name for name in names if name.endswith((".c", ".h", ".o"))]


def test_the_shared_object_of_the_wheel_works_where_it_is_installed(
    module: Module, env: dict[str, str], wheel: Path, tmp_path: Path
) -> None:
    """In a virtual environment that has the wheel and what it depends on, a C host signs."""
    if not module.ours:
        pytest.skip("the module under test is not ours")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    site = tmp_path / "env" / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    sources = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    for name in ("_cffi_backend*", "cryptography", "asn1crypto"):
        for entry in (entry for source in sources for entry in Path(source).glob(name)):
            if not (site / entry.name).exists():
                (site / entry.name).symlink_to(entry)
    run(programs() / "host", site / "ptkc" / "libptkc.so", "sign", env=env)
