"""Sign this repository's README with keys that never leave a token: what `make demo` runs.

Two applications share one token through `libptkc.so`: OpenSC's pkcs11-tool, a C program, and python-pkcs11. Each makes
keys and each signs with all of them; `openssl`, which knows nothing of the token, verifies every signature.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_ecdsa_signature, encode_named_curve_parameters
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
LABEL = "Demo"

RSA, EC, ED = "rsa-3072", "p-256", "ed25519"
IDS = {RSA: "01", EC: "02", ED: "03"}
TOOL, PYTHON = "pkcs11-tool", "python-pkcs11"
MAKERS = {RSA: TOOL, EC: PYTHON, ED: TOOL}
SIGN = {
    RSA: ["--mechanism", "SHA256-RSA-PKCS"],
    EC: ["--mechanism", "ECDSA-SHA256", "--signature-format", "openssl"],
    ED: ["--mechanism", "EDDSA"],
}


def run(*words: str | Path) -> str:
    """Run a program and return what it said; end the demo with that if it failed."""
    done = subprocess.run(
        [str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True
    )
    if done.returncode:
        sys.exit(f"demo: error: {' '.join(map(str, words))}\n{done.stdout}")
    return done.stdout


class Demo:
    """The demo's token, its folder, and the two applications' work on it."""

    def __init__(self, folder: Path, message: Path) -> None:
        """Choose PINs, and find the module that belongs to this Python."""
        self.folder, self.message = folder, message
        self.module = run(sys.executable, "-m", "ptkc.tools.ptkc", "module").strip()
        self.so_pin, self.pin = secrets.token_hex(8), secrets.token_hex(4)

    def tool(self, *words: str | Path) -> None:
        """Run pkcs11-tool on the module."""
        run("pkcs11-tool", "--module", self.module, *words)

    def user_tool(self, *words: str | Path) -> None:
        """Run pkcs11-tool on our token, logged in as the user."""
        self.tool("--token-label", LABEL, "--login", "--pin", self.pin, *words)

    def initialise(self) -> None:
        """Initialise the token in the first slot, and have its SO set the user PIN."""
        self.tool("--slot-index", "0", "--init-token", "--label", LABEL, "--so-pin", self.so_pin)
        so = ("--token-label", LABEL, "--login", "--login-type", "so", "--so-pin", self.so_pin)
        self.tool(*so, "--init-pin", "--pin", self.pin)

    def open(self) -> pkcs11.Session:
        """Open a session of this process, logged in as the user."""
        return pkcs11.lib(self.module).get_token(token_label=LABEL).open(rw=True, user_pin=self.pin)

    def generate(self) -> None:
        """Make the RSA and the Ed25519 pair by pkcs11-tool, the P-256 pair by python-pkcs11."""
        for label, kind in ((RSA, "rsa:3072"), (ED, "EC:edwards25519")):
            self.user_tool(
                "--keypairgen", "--key-type", kind, "--label", label, "--id", IDS[label], "--usage-sign"
            )
        with self.open() as session:
            curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
            parameters = session.create_domain_parameters(KeyType.EC, curve, local=True)
            parameters.generate_keypair(store=True, label=EC, id=bytes.fromhex(IDS[EC]))

    def is_kept(self, label: str) -> bool:
        """Tell whether the token says that this private key was made in it and never left it."""
        with self.open() as session:
            key = session.get_key(ObjectClass.PRIVATE_KEY, label=label)
            return bool(key[Attribute.LOCAL] and key[Attribute.ALWAYS_SENSITIVE] and key[Attribute.NEVER_EXTRACTABLE])

    def sign_in_c(self, label: str) -> Path:
        """Sign with pkcs11-tool."""
        signature = self.folder / f"README.{label}.pkcs11-tool.sig"
        self.user_tool(
            "--sign", "--id", IDS[label], *SIGN[label], "--input-file", self.message, "--output-file", signature
        )
        return signature

    def sign_in_python(self, label: str) -> Path:
        """Sign with python-pkcs11."""
        signature = self.folder / f"README.{label}.python-pkcs11.sig"
        message = self.message.read_bytes()
        with self.open() as session:
            key = session.get_key(ObjectClass.PRIVATE_KEY, label=label)
            if label == RSA:
                value = key.sign(message, mechanism=Mechanism.SHA256_RSA_PKCS)
            elif label == EC:
                digest = hashlib.sha256(message).digest()
                value = encode_ecdsa_signature(key.sign(digest, mechanism=Mechanism.ECDSA))
            else:
                value = key.sign(message, mechanism=Mechanism.EDDSA)
        signature.write_bytes(value)
        return signature

    def public_key(self, label: str) -> Path:
        """Write the public key as PEM."""
        raw, pem = self.folder / f"{label}.public", self.folder / f"{label}.pem"
        if label == EC:  # OpenSC 0.23 reads EC keys out of memory that it has freed, and fails now and then
            with self.open() as session:
                raw.write_bytes(encode_ec_public_key(session.get_key(ObjectClass.PUBLIC_KEY, label=label)))
        else:
            self.user_tool("--read-object", "--type", "pubkey", "--id", IDS[label], "--output-file", raw)
        run("openssl", "pkey", "-pubin", "-in", raw, "-pubout", "-out", pem)
        raw.unlink()
        return pem

    def verify(self, label: str, signature: Path) -> str:
        """Have openssl verify a signature, and return what it says."""
        public = self.folder / f"{label}.pem"
        if label == ED:
            words = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public, "-in", self.message]
            return run("openssl", *words, "-sigfile", signature).strip()
        words = ["dgst", "-sha256", "-verify", public, "-signature", signature, self.message]
        return run("openssl", *words).strip()


def new_folder() -> Path:
    """Make a folder for this demo: here, or among the temporary files if this folder is not ours to write."""
    here = Path.cwd() / time.strftime("demo-%Y%m%d-%H%M%S")
    try:
        here.mkdir()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="demo-"))
    return here


def main() -> None:
    """Run the demo and show what was done."""
    console = Console(highlight=False, soft_wrap=True)
    folder = new_folder()
    os.environ["ET_PTKC_SW_DATAPATH"] = str(folder / "data")
    os.environ["ET_PTKC_LOGGER_FILE"] = str(folder / "ptkc.log")
    demo = Demo(folder, ROOT / "README.md")

    console.print(f"[bold]A token in software[/], through {demo.module}\n")
    began = time.monotonic()
    demo.initialise()
    console.print(f"  token '{LABEL}' initialised, SO PIN and user PIN set")
    demo.generate()
    console.print("  RSA, P-256 and Ed25519 key pairs generated in it")
    kept = all(demo.is_kept(label) for label in IDS)
    console.print(f"  private keys made in the token, sensitive, never extractable: {'yes' if kept else 'NO'}\n")

    table = Table(title="README.md, signed in the token and verified outside of it", title_justify="left")
    for column in ("key", "made by", "signed by", "openssl says"):
        table.add_column(column, no_wrap=True)
    for label in IDS:
        demo.public_key(label)
        for name, signature in ((TOOL, demo.sign_in_c(label)), (PYTHON, demo.sign_in_python(label))):
            table.add_row(label, MAKERS[label], name, f"[green]{demo.verify(label, signature)}[/]")
    console.print(table, soft_wrap=False)

    console.print(f"\nDone in {time.monotonic() - began:.1f} s. Where things are:\n")
    for what, where in (
        ("signatures, public keys", folder),
        ("the token, sealed", folder / "data"),
        ("what unseals it", folder / "data.keys"),
        ("log of refused calls", folder / "ptkc.log"),
    ):
        if not where.exists():
            continue
        console.print(f"  {what:24} {where}")
    console.print("\nGo on with it:\n")
    console.print(f"  export ET_PTKC_SW_DATAPATH={folder / 'data'}")
    console.print(f"  pkcs11-tool --module {demo.module} --login --pin {demo.pin} --list-objects")


if __name__ == "__main__":
    main()
