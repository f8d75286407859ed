# Run in a Python host before anything of ours is imported, with SITES, VERSION and NEEDED given: see that the host has
# fitting packages, or let it find those of the shared object's site-packages, behind its own.
import os
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec

NEEDED = dict(item.split("=") for item in NEEDED.split())


class _Finder:
    """Finds our packages, and nothing else, in the site-packages that the shared object belongs to."""

    names = frozenset(("ptkc", *NEEDED))
    sites = SITES

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return PathFinder.find_spec(name, cls.sites, target) if name in cls.names else None


def _number(text):
    parts = []
    for part in text.split("."):
        digits = "".join(letter for letter in part if letter.isdigit())
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)


def _stated(name, spec):
    """Return the version of a package that may not be imported yet; None where it states none."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__version__", None)
    if not spec.submodule_search_locations:
        return None
    for place in spec.submodule_search_locations:
        for file in ("__about__.py", "version.py", "__init__.py"):
            try:
                with open(os.path.join(place, file), encoding="utf-8") as source:
                    for line in source:
                        if line.startswith("__version__ = "):
                            return line.split("=", 1)[1].strip().strip("\"'")
            except OSError:
                pass
    return None


def _find(name):
    module = sys.modules.get(name)
    if module is not None:
        return getattr(module, "__spec__", None) or module
    return find_spec(name)


sys.meta_path.append(_Finder)
for _name, _least in (("ptkc", VERSION), *NEEDED.items()):
    _spec = _find(_name)
    if _spec is None:
        if _least == "0":
            continue
        raise ImportError(f"no package {_name} in this Python nor in {os.pathsep.join(SITES)}")
    if _name == "_cffi_backend":
        import _cffi_backend
    _has = _stated(_name, _spec)
    if _has is None:
        continue
    if _name == "ptkc" and _has != _least or _number(_has) < _number(_least):
        raise ImportError(
            f"this Python has {_name} {_has} ({getattr(_spec, 'origin', None) or _spec}), and ptkc {VERSION} needs {_least}: "
            "upgrade it, or use a virtual environment of its own"
        )
