# Run in a Python host before anything of ours is imported, with SITES, VERSION and NEEDED given: see that the host has
# fitting packages, or let it find those of the shared object's site-packages, behind its own. sys.path stays as it is.
import os
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec

NEEDED = dict(item.split("=") for item in NEEDED.split())
# Without these the provider offers fewer mechanisms.
WELCOME = ("pqcrypto", "Crypto")


class PtkcFinder:
    """Finds our packages, and nothing else, in the site-packages that the shared object belongs to."""

    names = frozenset(("ptkc", *NEEDED, *WELCOME))
    sites = SITES

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return PathFinder.find_spec(name, cls.sites, target) if name in cls.names else None


def number(text):
    """Return the leading numbers of a version."""
    parts = []
    for part in text.split("."):
        if not part.isdigit():
            break
        parts.append(int(part))
    return tuple(parts)


def stated(name, spec):
    """Return the version of a package that may not be imported yet; None where it states none."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__version__", None)
    for place in spec.submodule_search_locations or ():
        for file in ("__about__.py", "version.py", "__init__.py"):
            try:
                with open(os.path.join(place, file), encoding="utf-8") as source:
                    for line in source:
                        if line.startswith("__version__ = "):
                            return line.split("=", 1)[1].strip().strip("\"'")
            except OSError:
                pass
    return None


def take_ours():
    """Import `ptkc` from beside the shared object: a host's directory of that name may be anything."""
    spec = PtkcFinder.find_spec("ptkc")
    if spec is None or spec.loader is None:
        raise ImportError("no package ptkc in " + os.pathsep.join(SITES))
    module = module_from_spec(spec)
    sys.modules["ptkc"] = module
    spec.loader.exec_module(module)


def check(name, least):
    """Refuse what the host has and we cannot work with."""
    module = sys.modules.get(name)
    spec = find_spec(name) if module is None else module
    if spec is None:
        raise ImportError("no package " + name + " in this Python nor in " + os.pathsep.join(SITES))
    if name == "_cffi_backend":
        import _cffi_backend
    version = stated(name, spec)
    where = getattr(spec, "__file__", None) or getattr(spec, "origin", None) or "imported already"
    if version is not None and (number(version) < number(least) or name == "ptkc" and version != least):
        raise ImportError(
            f"this Python has {name} {version} ({where}), and ptkc {VERSION} needs {least}: "
            "upgrade it, or use a virtual environment of its own"
        )


if not all(name in sys.modules or find_spec(name) for name in (*NEEDED, *WELCOME)):
    sys.meta_path.append(PtkcFinder)
try:
    if "ptkc" not in sys.modules:
        take_ours()
    check("ptkc", VERSION)
    for name, least in NEEDED.items():
        check(name, least)
except BaseException:
    if PtkcFinder in sys.meta_path:
        sys.meta_path.remove(PtkcFinder)
    raise
