"""Carry `libptkc.so` in the package: what pyproject.toml cannot say."""

import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

sys.path.insert(0, str(Path(__file__).resolve().parent / "native"))
from build import BuildError, build


class _BuildLibrary(build_ext):
    """Build the shared object by native/build.py, under its own name."""

    def get_ext_filename(self, fullname: str) -> str:
        """Return the path below the build directory, without the interpreter's suffix."""
        return str(Path(*fullname.split("."))) + ".so"

    def build_extension(self, ext: Extension) -> None:
        """Build it; in the source tree packages are beside the interpreter."""
        try:
            build(Path(self.get_ext_fullpath(ext.name)).absolute(), tree=self.inplace or self.editable_mode)
        except BuildError as error:
            raise SystemExit(f"ptkc: error: {error}") from None


# An extension without sources makes the wheel's tag that of this interpreter.
setup(ext_modules=[Extension("ptkc.libptkc", sources=[])], cmdclass={"build_ext": _BuildLibrary})
