"""The C interface as cffi sees it: types of our header, functions of a module's lists.

The declarations are read from `native/include`; the parameter structures of mechanisms are declared here, since the
headers leave them to the provider. A module is opened with `dlopen` and asked for its lists, as by any host.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cffi

__all__ = ["FUNCTIONS", "VENDOR_FUNCTIONS", "Functions", "ffi"]

_INCLUDE = Path(__file__).resolve().parents[2] / "native" / "include"
_PROTOTYPE = re.compile(r"^CK_RV (CT?_\w+)\((.*)\);$", re.MULTILINE)
_ENTRY_POINTS = ("C_GetFunctionList", "C_GetInterfaceList", "C_GetInterface")
_COUNT_2_40 = 68
_COUNT_3_0 = 92

_PARAMETERS = """
typedef struct { CK_BYTE *pIv; CK_ULONG ulIvLen; CK_ULONG ulIvBits; CK_BYTE *pAAD; CK_ULONG ulAADLen;
                 CK_ULONG ulTagBits; } CK_GCM_PARAMS;
typedef struct { CK_ULONG ulDataLen; CK_BYTE *pNonce; CK_ULONG ulNonceLen; CK_BYTE *pAAD; CK_ULONG ulAADLen;
                 CK_ULONG ulMACLen; } CK_CCM_PARAMS;
typedef struct { CK_BYTE *pIv; CK_ULONG ulIvLen; CK_ULONG ulIvFixedBits; CK_ULONG ivGenerator; CK_BYTE *pAAD;
                 CK_ULONG ulAADLen; CK_ULONG ulTagBits; } CK_GCM_WRAP_PARAMS;
typedef struct { CK_ULONG ulDataLen; CK_BYTE *pNonce; CK_ULONG ulNonceLen; CK_ULONG ulNonceFixedBits;
                 CK_ULONG nonceGenerator; CK_BYTE *pAAD; CK_ULONG ulAADLen; CK_ULONG ulMACLen; } CK_CCM_WRAP_PARAMS;
typedef struct { CK_ULONG ulCounterBits; CK_BYTE cb[16]; } CK_AES_CTR_PARAMS;
typedef struct { CK_BYTE *pIv; CK_ULONG ulIvLen; CK_ULONG ulIvFixedBits; CK_ULONG ivGenerator; CK_BYTE *pTag;
                 CK_ULONG ulTagBits; } CK_GCM_MESSAGE_PARAMS;
typedef struct { CK_ULONG ulDataLen; CK_BYTE *pNonce; CK_ULONG ulNonceLen; CK_ULONG ulNonceFixedBits;
                 CK_ULONG nonceGenerator; CK_BYTE *pMAC; CK_ULONG ulMACLen; } CK_CCM_MESSAGE_PARAMS;
typedef struct { CK_BYTE *pNonce; CK_ULONG ulNonceLen; CK_BYTE *pTag; } CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS;
typedef struct { CK_BYTE *pBlockCounter; CK_ULONG blockCounterBits; CK_BYTE *pNonce;
                 CK_ULONG ulNonceBits; } CK_CHACHA20_PARAMS;
typedef struct { CK_BYTE *pNonce; CK_ULONG ulNonceLen; CK_BYTE *pAAD;
                 CK_ULONG ulAADLen; } CK_SALSA20_CHACHA20_POLY1305_PARAMS;
typedef struct { CK_ULONG hashAlg; CK_ULONG mgf; CK_ULONG sLen; } CK_RSA_PKCS_PSS_PARAMS;
typedef struct { CK_ULONG hashAlg; CK_ULONG mgf; CK_ULONG source; void *pSourceData;
                 CK_ULONG ulSourceDataLen; } CK_RSA_PKCS_OAEP_PARAMS;
typedef struct { CK_ULONG kdf; CK_ULONG ulSharedDataLen; CK_BYTE *pSharedData; CK_ULONG ulPublicDataLen;
                 CK_BYTE *pPublicData; } CK_ECDH1_DERIVE_PARAMS;
typedef struct { CK_ULONG ulAESKeyBits; CK_RSA_PKCS_OAEP_PARAMS *pOAEPParams; } CK_RSA_AES_KEY_WRAP_PARAMS;
typedef struct { CK_ULONG ulAESKeyBits; CK_ULONG kdf; CK_ULONG ulSharedDataLen;
                 CK_BYTE *pSharedData; } CK_ECDH_AES_KEY_WRAP_PARAMS;
typedef struct { CK_BBOOL phFlag; CK_ULONG ulContextDataLen; CK_BYTE *pContextData; } CK_EDDSA_PARAMS;
typedef struct { CK_ULONG hedgeVariant; CK_BYTE *pContext; CK_ULONG ulContextLen; } CK_SIGN_ADDITIONAL_CONTEXT;
typedef struct { CK_ULONG hedgeVariant; CK_BYTE *pContext; CK_ULONG ulContextLen;
                 CK_ULONG hash; } CK_HASH_SIGN_ADDITIONAL_CONTEXT;
"""


def _declarations(header: str) -> tuple[str, list[tuple[str, str]]]:
    """Return a header without comments, #lines and prototypes, and the (name, arguments) of each prototype."""
    text = re.sub(r"/\*.*?\*/", "", (_INCLUDE / header).read_text(encoding="ascii"), flags=re.DOTALL)
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return _PROTOTYPE.sub("", text), _PROTOTYPE.findall(text)


def _interface() -> tuple[cffi.FFI, list[str], list[str]]:
    """Return the ffi with a list of all functions, whose beginnings the older lists are, and one of the vendor's."""
    interface = cffi.FFI()
    names = []
    for header, structure in (("pkcs11.h", "CK_FUNCTION_LIST"), ("vendor.h", "VENDOR_LIST")):
        types, prototypes = _declarations(header)
        members = "".join(f"CK_RV (*{name})({arguments});\n" for name, arguments in prototypes)
        exported = "".join(f"CK_RV {name}({arguments});\n" for name, arguments in prototypes if name in _ENTRY_POINTS)
        interface.cdef(f"{types}\nstruct {structure} {{ CK_VERSION version;\n{members}}};\n{exported}")
        names.append([name for name, _ in prototypes])
    interface.cdef(_PARAMETERS)
    return interface, *names


ffi, FUNCTIONS, VENDOR_FUNCTIONS = _interface()


class Functions:
    """The functions of one module: those of C_GetFunctionList, of its newest "PKCS 11" interface and the vendor's."""

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
        """Add the functions of Cryptoki 3.0 and 3.2 and the vendor's, as far as the module offers these."""
        for minor, names in ((0, FUNCTIONS[:_COUNT_3_0]), (2, FUNCTIONS)):
            if self._add(b"PKCS 11", (3, minor), "CK_FUNCTION_LIST *", names):
                self.names = names
        self._add(b"Vendor PTKC", (1, 0), "struct VENDOR_LIST *", VENDOR_FUNCTIONS)

    def _add(self, interface: bytes, version: tuple[int, int], structure: str, names: list[str]) -> bool:
        """Add the functions of an interface; return whether the module has it."""
        found = ffi.new("CK_INTERFACE **")
        wanted = ffi.new("CK_VERSION *", version)
        if self.library.C_GetInterface(ffi.new("char[]", interface), wanted, found, 0) != 0:
            return False
        functions = ffi.cast(structure, found[0].pFunctionList)
        self._addresses |= {name: getattr(functions, name) for name in names}
        return True

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 (a cffi function pointer)
        """Return the C function called `name`, a KeyError if the module's lists end before it."""
        return self._addresses[name]

    def __contains__(self, name: object) -> bool:
        """Return whether the module's lists have a function of this name."""
        return name in self._addresses
