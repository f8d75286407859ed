"""The C interface as cffi sees it: types of our header, functions of a module's lists.

The declarations are read from `native/include/pkcs11.h`; the parameter structures of mechanisms are declared here,
since the header leaves them to the provider. A module is opened with `dlopen` and asked for its lists, as by any host.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cffi

__all__ = ["FUNCTIONS", "Functions", "ffi"]

_HEADER = Path(__file__).resolve().parents[2] / "native" / "include" / "pkcs11.h"
_PROTOTYPE = re.compile(r"^CK_RV (C_\w+)\((.*)\);$", re.MULTILINE)
_ENTRY_POINTS = ("C_GetFunctionList", "C_GetInterfaceList", "C_GetInterface")
_COUNT_2_40 = 68
_COUNT_3_0 = 92

_PARAMETERS = """
typedef struct { CK_BYTE *pIv; CK_ULONG ulIvLen; CK_ULONG ulIvBits; CK_BYTE *pAAD; CK_ULONG ulAADLen;
                 CK_ULONG ulTagBits; } CK_GCM_PARAMS;
typedef struct { CK_ULONG ulDataLen; CK_BYTE *pNonce; CK_ULONG ulNonceLen; CK_BYTE *pAAD; CK_ULONG ulAADLen;
                 CK_ULONG ulMACLen; } CK_CCM_PARAMS;
typedef struct { CK_ULONG ulCounterBits; CK_BYTE cb[16]; } CK_AES_CTR_PARAMS;
typedef struct { CK_ULONG hashAlg; CK_ULONG mgf; CK_ULONG sLen; } CK_RSA_PKCS_PSS_PARAMS;
typedef struct { CK_ULONG hashAlg; CK_ULONG mgf; CK_ULONG source; void *pSourceData;
                 CK_ULONG ulSourceDataLen; } CK_RSA_PKCS_OAEP_PARAMS;
typedef struct { CK_ULONG kdf; CK_ULONG ulSharedDataLen; CK_BYTE *pSharedData; CK_ULONG ulPublicDataLen;
                 CK_BYTE *pPublicData; } CK_ECDH1_DERIVE_PARAMS;
typedef struct { CK_BBOOL phFlag; CK_ULONG ulContextDataLen; CK_BYTE *pContextData; } CK_EDDSA_PARAMS;
"""


def _declarations() -> tuple[str, list[tuple[str, str]]]:
    """Return the header without comments, #lines and prototypes, and the (name, arguments) of each prototype."""
    text = re.sub(r"/\*.*?\*/", "", _HEADER.read_text(encoding="ascii"), flags=re.DOTALL)
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return _PROTOTYPE.sub("", text), _PROTOTYPE.findall(text)


def _interface() -> tuple[cffi.FFI, list[str]]:
    """Return the ffi with one function list of all functions: the older lists are its beginnings."""
    types, prototypes = _declarations()
    members = "".join(f"CK_RV (*{name})({arguments});\n" for name, arguments in prototypes)
    exported = "".join(f"CK_RV {name}({arguments});\n" for name, arguments in prototypes if name in _ENTRY_POINTS)
    interface = cffi.FFI()
    interface.cdef(f"{types}\nstruct CK_FUNCTION_LIST {{ CK_VERSION version;\n{members}}};\n{exported}{_PARAMETERS}")
    return interface, [name for name, _ in prototypes]


ffi, FUNCTIONS = _interface()


class Functions:
    """The functions of one module: those of C_GetFunctionList, and of its newest "PKCS 11" interface if it has any."""

    def __init__(self, path: str) -> None:
        """Open the module at `path` and read its lists; nothing is initialised."""
        self.library: Any = ffi.dlopen(path)
        pointer = ffi.new("CK_FUNCTION_LIST **")
        code = self.library.C_GetFunctionList(pointer)
        if code != 0:
            message = f"C_GetFunctionList answered {code:#x}"
            raise OSError(message)
        self.list: Any = pointer[0]
        self.names = FUNCTIONS[:_COUNT_2_40]
        self._addresses = {name: getattr(self.list, name) for name in self.names}
        self.has_interfaces = hasattr(self.library, "C_GetInterface")
        if self.has_interfaces:
            self._add_interfaces()

    def _add_interfaces(self) -> None:
        """Add the functions of Cryptoki 3.0 and 3.2, as far as the module offers these versions."""
        for minor, names in ((0, FUNCTIONS[:_COUNT_3_0]), (2, FUNCTIONS)):
            found = ffi.new("CK_INTERFACE **")
            version = ffi.new("CK_VERSION *", (3, minor))
            if self.library.C_GetInterface(ffi.new("char[]", b"PKCS 11"), version, found, 0) == 0:
                functions = ffi.cast("CK_FUNCTION_LIST *", found[0].pFunctionList)
                self.names = names
                self._addresses |= {name: getattr(functions, name) for name in names}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 (a cffi function pointer)
        """Return the C function called `name`, a KeyError if the module's lists end before it."""
        return self._addresses[name]

    def __contains__(self, name: object) -> bool:
        """Return whether the module's lists have a function of this name."""
        return name in self._addresses
