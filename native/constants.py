"""Write `ptkc/spec/constants.py` from the `#define` lines of the headers, or `--check` that it is up to date.

`CKA_LABEL` becomes `CKA.LABEL`: one plain class a prefix, since an enum would cost milliseconds at every start-up.
"""

import re
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_TARGET = _HERE.parent / "ptkc" / "spec" / "constants.py"
_DEFINE = re.compile(r"#define\s+(CK[A-Z]?|CRYPTOKI)_(\w+)\s+(0x[0-9a-fA-F]+)UL\s*$")


def generate() -> str:
    """Return the source text of `ptkc/spec/constants.py`."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for header in ("pkcs11.h", "vendor.h"):
        for line in (_HERE / "include" / header).read_text(encoding="ascii").splitlines():
            if match := _DEFINE.match(line):
                prefix, name, value = match.groups()
                groups.setdefault(prefix, []).append((name, value))
    lines = [
        '"""Constants of Cryptoki 3.2 and of the vendor. Generated from native/include by native/constants.py."""',
        "",
        "__all__ = [",
        *(f'    "{prefix}",' for prefix in sorted(groups)),
        "]",
    ]
    for prefix, members in groups.items():
        lines += ["", "", f"class {prefix}:", f'    """{prefix}_* values."""', ""]
        lines += [f"    {name} = {value}" for name, value in members]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the file, or with `--check` return 1 if it differs from what the headers say."""
    text = generate()
    if "--check" in sys.argv[1:]:
        if _TARGET.read_text(encoding="ascii") == text:
            return 0
        print(f"{_TARGET} is not what native/constants.py makes of the headers", file=sys.stderr)
        return 1
    _TARGET.write_text(text, encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())
