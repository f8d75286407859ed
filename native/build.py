"""Build `ptkc/libptkc.so`: run as a script for the tree itself, called by setup.py for a package.

The shared object is a cffi embedding module that is linked to libpython: what setuptools' `cffi_modules` makes is not,
and fails in every C host. From each prototype of include/pkcs11.h and include/vendor.h come the exported function, its
place in the function lists or in the vendor's interface, and its `extern "Python"` twin; six functions are answered in
C and have no twin.
"""

from __future__ import annotations

import compileall
import contextlib
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

__all__ = ["BuildError", "build"]

_HERE = Path(__file__).resolve().parent
_PACKAGE = _HERE.parent / "ptkc"
_PROTOTYPE = re.compile(r"^CK_RV (CT?_\w+)\((.*)\);$")

# Functions in each list (the prototypes stand in that order); what comes behind the last is the vendor's.
_LISTS = {"2_40": 68, "3_0": 92, "3_2": 104}

# What C answers alone, and what takes a lock first (both stand in cryptoki.c).
_STATIC = {
    "C_GetInfo", "C_GetFunctionList", "C_GetInterfaceList", "C_GetInterface", "C_GetFunctionStatus", "C_CancelFunction",
}  # fmt: skip
_BY_HAND = _STATIC | {"C_Initialize", "C_Finalize"}

# The C type of a twin's parameter. Bytes and structures that Python reads and writes whole are `char *`.
_SCALARS = {
    "CK_BBOOL": "unsigned char",
    "CK_UINT": "unsigned int",
    **dict.fromkeys(
        (
            "CK_ULONG", "CK_FLAGS", "CK_SLOT_ID", "CK_SESSION_HANDLE", "CK_OBJECT_HANDLE", "CK_USER_TYPE",
            "CK_MECHANISM_TYPE", "CK_ATTRIBUTE_TYPE", "CK_SESSION_VALIDATION_FLAGS_TYPE",
        ),
        "unsigned long",
    ),
}  # fmt: skip
_POINTERS = {
    "CK_MECHANISM_PTR": "CK_MECHANISM *",
    "CK_ATTRIBUTE_PTR": "CK_ATTRIBUTE *",
    "CK_UINT_PTR": "unsigned int *",
    **dict.fromkeys(
        (
            "CK_ULONG_PTR", "CK_FLAGS_PTR", "CK_SLOT_ID_PTR", "CK_SESSION_HANDLE_PTR", "CK_OBJECT_HANDLE_PTR",
            "CK_MECHANISM_TYPE_PTR",
        ),
        "unsigned long *",
    ),
    **dict.fromkeys(
        (
            "CK_BYTE_PTR", "CK_UTF8CHAR_PTR", "CK_VOID_PTR", "CK_NOTIFY", "CK_ASYNC_DATA_PTR", "CK_SLOT_INFO_PTR",
            "CK_TOKEN_INFO_PTR", "CK_SESSION_INFO_PTR", "CK_MECHANISM_INFO_PTR",
        ),
        "char *",
    ),
}  # fmt: skip

# Packages that the provider needs beside the standard library, with the oldest version that fits.
_NEEDED = {"cryptography": "50", "_cffi_backend": "1.15", "asn1crypto": "1.5"}


class BuildError(Exception):
    """The shared object cannot be built here; the message names the cure."""


def _version() -> str:
    """Return the version that `ptkc/__init__.py` states."""
    text = (_PACKAGE / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if match is None:
        message = "ptkc/__init__.py states no __version__"
        raise BuildError(message)
    return match[1]


def _prototypes() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return (function, [(C type, parameter)]) of every prototype, in the order of the lists, the vendor's last."""
    found = []
    for header in ("pkcs11.h", "vendor.h"):
        for line in (_HERE / "include" / header).read_text(encoding="ascii").splitlines():
            if match := _PROTOTYPE.match(line):
                parameters = [tuple(part.rsplit(" ", 1)) for part in match[2].split(", ")]
                found.append((match[1], parameters))
        standard = sum(name.startswith("C_") for name, _ in found)
        if standard != _LISTS["3_2"]:
            message = f"include/{header}: {standard} functions of the standard, want {_LISTS['3_2']}"
            raise BuildError(message)
    return found


def _twin(name: str, parameters: list[tuple[str, str]]) -> str:
    """Return the prototype of a function's twin."""
    types = ((_SCALARS | _POINTERS)[kind] for kind, _ in parameters)
    return f"unsigned long ptkc_{name}({', '.join(types)});"


def _exported(name: str, parameters: list[tuple[str, str]]) -> str:
    """Return the definitions of an exported function that calls its twin."""
    fields = " ".join(f"{kind} {parameter};" for kind, parameter in parameters)
    passed = ", ".join(
        f"(char *)(uintptr_t)call->{parameter}" if _POINTERS.get(kind) == "char *" else f"call->{parameter}"
        for kind, parameter in parameters
    )
    declared = ", ".join(f"{kind} {parameter}" for kind, parameter in parameters)
    names = ", ".join(parameter for _, parameter in parameters)
    return (
        f"struct call_{name} {{ CK_RV rv; {fields} }};\n"
        f"static void run_{name}(void *argument)"
        f" {{ struct call_{name} *call = argument; call->rv = ptkc_{name}({passed}); }}\n"
        f"CK_RV {name}({declared})\n"
        "{\n"
        f"    CK_RV rv = ptkc_admit();\n"
        f"    if (rv != CKR_OK) return rv;\n"
        f"    struct call_{name} call = {{CKR_GENERAL_ERROR, {names}}};\n"
        f"    ptkc_call(run_{name}, &call);\n"
        f"    return call.rv;\n"
        "}\n"
    )


def _functions() -> str:
    """Return the text of `functions.inc`: twins, exported functions, and the lists of them."""
    prototypes = _prototypes()
    names = [name for name, _ in prototypes]
    lists = {**{version: names[:number] for version, number in _LISTS.items()}, "VENDOR": names[_LISTS["3_2"] :]}
    lines = ["/* Generated by native/build.py from native/include. */"]
    lines += [_twin(*prototype) for prototype in prototypes if prototype[0] not in _STATIC]
    lines += [_exported(*prototype) for prototype in prototypes if prototype[0] not in _BY_HAND]
    for version, members in lists.items():
        lines += [f"enum {{ IN_{version} = {len(members)} }};", f"#define FUNCTIONS_{version}(X) \\"]
        lines += [*(f"    X({name}) \\" for name in members), "    /* end */"]
    return "\n".join([*lines, ""])


def _literal(text: str) -> str:
    """Return a C string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + '" \\\n    "'.join(re.findall(r"(?:[^\\]|\\.){1,200}", escaped) or [""]) + '"'


def _baked(extra: list[str]) -> str:
    """Return the text of `baked.h`: what the shared object knows of the Python it was built for."""
    base = sys.base_prefix
    layout = {"base": base, "platbase": sys.base_exec_prefix, "installed_base": base}
    shared = [
        str(Path(path))
        for path in dict.fromkeys(
            [
                *(sysconfig.get_path(kind, vars=layout) for kind in ("purelib", "platlib")),
                f"{base}/local/lib/python{sysconfig.get_python_version()}/dist-packages",  # Debian's
                f"{base}/lib/python3/dist-packages",
            ]
        )
    ]
    values = {
        "PTKC_VERSION": _version(),
        "PTKC_PYTHON": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "PTKC_STDLIB": sysconfig.get_path("stdlib", vars=layout),
        "PTKC_EXECUTABLE": getattr(sys, "_base_executable", sys.executable),
        "PTKC_SHARED_SITES": ":".join(shared),
        "PTKC_TREE_SITES": ":".join(extra),
        "PTKC_NEEDED": " ".join(f"{name}={version}" for name, version in _NEEDED.items()),
        "PTKC_GUEST_CODE": (_HERE / "guest.py").read_text(encoding="ascii"),
    }
    lines = [f"#define {name} \\\n    {_literal(value)}" for name, value in values.items()]
    return "\n".join(["/* Generated by native/build.py. */", *lines, ""])


def _libpython() -> Path:
    """Return the shared libpython of the running interpreter; BuildError if there is none that can be embedded."""
    get = sysconfig.get_config_var
    if sys.implementation.name != "cpython" or sys.version_info < (3, 11):
        running = f"{sys.implementation.name} {sys.version.split()[0]}"
        message = f"{sys.executable} is {running}: ptkc needs CPython 3.11 or later"
        raise BuildError(message)
    if get("Py_DEBUG") or get("Py_GIL_DISABLED"):
        message = f"{sys.executable} is a debug or free-threaded build: use a plain CPython"
        raise BuildError(message)
    name = get("INSTSONAME") or ""
    for directory in (get("LIBDIR"), f"{sys.base_prefix}/lib", f"{get('LIBDIR')}/{get('MULTIARCH')}"):
        path = Path(directory or "/", name)
        if ".so" in name and path.is_file():
            return path
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    message = (
        f"{sys.executable} has no shared libpython, which a C program needs to load the provider. "
        f"Debian, Ubuntu: apt install libpython{version}-dev, and use /usr/bin/python{version}. "
        f"pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install {version}. "
        "Own builds: ./configure --enable-shared. uv: its managed Pythons have one."
    )
    raise BuildError(message)


def _cdef() -> tuple[str, str]:
    """Return what Python sees of C, and the twins that C sees of Python."""
    declarations = (_HERE / "bridge.h").read_text(encoding="ascii")
    operations = _HERE / "operations.h"
    if operations.exists():
        declarations += "\n" + operations.read_text(encoding="ascii")
    plain = "\n".join(line for line in declarations.splitlines() if not line.startswith("#"))
    return plain, "\n".join(_twin(*prototype) for prototype in _prototypes() if prototype[0] not in _STATIC)


def _generate(work: Path, extra: list[str]) -> None:
    """Write the generated C files to `work`."""
    from cffi import FFI  # noqa: PLC0415 - so that a build without cffi can still say what is missing

    declarations, twins = _cdef()
    ffi = FFI()
    ffi.cdef(declarations)
    ffi.embedding_api(twins)
    preamble = '#include "bridge.h"\n'
    if (_HERE / "operations.h").exists():
        preamble += '#include "operations.h"\n'
    preamble += "int ptkc_start_cffi(void);\nint ptkc_start_cffi(void) { return cffi_start_python(); }\n"
    ffi.set_source("_libptkc", preamble)
    ffi.embedding_init_code((_HERE / "start.py").read_text(encoding="ascii"))
    with contextlib.redirect_stdout(None):
        ffi.emit_c_code(str(work / "_libptkc.c"))
    (work / "functions.inc").write_text(_functions(), encoding="ascii")
    (work / "baked.h").write_text(_baked(extra), encoding="utf-8")
    names = " ".join(f"{name};" for name, _ in _prototypes())
    (work / "exported.map").write_text(f"{{ global: {names} local: *; }};\n", encoding="ascii")


def _run(command: list[str]) -> None:
    """Run a compiler command; BuildError if it fails."""
    try:
        subprocess.run(command, check=True)
    except OSError as error:
        message = f"{command[0]}: {error.strerror}: a C compiler is needed (Debian, Ubuntu: apt install gcc libc6-dev)"
        raise BuildError(message) from error
    except subprocess.CalledProcessError as error:
        message = f"the compiler failed: {shlex.join(command)}"
        raise BuildError(message) from error


def build(target: Path, *, tree: bool, strict: bool = False, flags: tuple[str, ...] = ()) -> Path:
    """Build the shared object as `target` and return it.

    `tree` is true where packages are found beside the interpreter that builds, not beside `ptkc/` (a source tree);
    `strict` makes warnings in our own C errors; `flags` go to compiler and linker (sanitizers).
    """
    library = _libpython()
    headers = (_HERE, _HERE / "include", sysconfig.get_path("include"), sysconfig.get_path("platinclude"))
    include = [f"-I{path}" for path in dict.fromkeys(headers)]
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    common = ["-std=gnu11", "-O2", "-g", "-fPIC", "-pthread", "-fvisibility=hidden", "-fno-strict-aliasing", *flags]
    own = ["-Wall", "-Wextra", *(["-Werror"] if strict else [])]
    extra = list(dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))) if tree else []
    sources = [_HERE / name for name in ("cryptoki.c", "interpreter.c", "places.c", "threads.c")]
    libraries = ["-ldl"]
    if (_HERE / "operations.c").exists():
        sources += [_HERE / "operations.c", _HERE / "asymmetric.c"]
        libraries.append("-lcrypto")
        common.append("-DPTKC_LIBCRYPTO")
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        _generate(work, extra)
        objects = []
        for source in [*sources, work / "_libptkc.c"]:
            made = work / (source.stem + ".o")
            warnings = own if source.parent == _HERE else ["-w"]
            _run([*compiler, *common, *warnings, f"-I{work}", *include, "-c", str(source), "-o", str(made)])
            objects.append(str(made))
        target.parent.mkdir(parents=True, exist_ok=True)
        made = target.with_name(f".{target.name}.{os.getpid()}")
        link = [
            *compiler, *common, "-shared", "-o", str(made), *objects,
            f"-Wl,--version-script={work / 'exported.map'}", "-Wl,-soname,libptkc.so",
            "-Wl,-z,nodelete", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack", "-Wl,--no-undefined",
            "-Wl,--enable-new-dtags", f"-Wl,-rpath,{library.parent}", str(library), *libraries,
        ]  # fmt: skip
        if flags:
            link.remove("-Wl,--no-undefined")  # a sanitizer's runtime is the host's
        _run(link)
        made.replace(target)
    return target


def main() -> int:
    """Build the tree's shared object, or the file named by the only argument.

    The tree's bytecode is made too, since the provider writes none and would compile all of it at each start.
    """
    target = Path(sys.argv[1]).absolute() if sys.argv[1:] else _PACKAGE / "libptkc.so"
    try:
        print(build(target, tree=True, strict=True))
        compileall.compile_dir(_PACKAGE, quiet=1)
    except BuildError as error:
        print(f"build.py: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
