"""What the repository shows its users works as it stands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from modules import Module
from processes import program, run

_EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_demo_ends_with_six_verified_signatures(module: Module, env: dict[str, str], tmp_path: Path) -> None:
    """`make demo` without a terminal: three keys, two applications, and openssl verifies each signature."""
    if not module.ours:
        pytest.skip("the demo shows ours")
    program("pkcs11-tool")
    said = run(sys.executable, _EXAMPLES / "demo.py", env=env, cwd=tmp_path)
    assert (4, 2) == (said.count("Verified OK"), said.count("Signature Verified Successfully"))
    assert "never extractable: yes" in said
    (folder,) = tmp_path.glob("demo-*")
    assert str(folder / "data") in said
    assert 6 == len(list(folder.glob("*.sig")))


_PREPARE = """
from ptkc.vendor import devices, init_admin, lib
for device in devices(lib()):
    init_admin(device.admin_slot, "aso-12345678", "admin-1234")
"""
_CERTIFICATES = """
import sys
from ptkc.vendor import Attribute, devices, fetch_certificate, lib
for device in devices(lib()):
    for kind in (Attribute.HSM_OWNER_CERT, Attribute.LOCAL_IDENTITY_CERT):
        open(f"{sys.argv[1]}/{kind.name}-{device.serial}", "wb").write(fetch_certificate(device.number, kind))
"""


def test_the_identities_example_makes_an_owner_identities_and_trust(
    module: Module, env: dict[str, str], tmp_path: Path
) -> None:
    """On three new HSMs: one owner certificate, a PIC of each that openssl verifies, six relations of trust."""
    if not module.ours:
        pytest.skip("the example shows ours")
    serials = ["1197", "1111", "1310"]
    run(sys.executable, "-P", "-m", "ptkc.tools.ptkc", "hsm", "add", *serials, env=env)
    run(sys.executable, "-P", "-c", _PREPARE, env=env)
    said = run(sys.executable, _EXAMPLES / "identities.py", "1197", env={**env, "PTKC_ADMIN_PIN": "admin-1234"})
    relations = [f"{one}: trusts {other}" for one in serials for other in serials if one != other]
    assert sorted(relations) == sorted(line for line in said.splitlines() if "trusts" in line)
    run(sys.executable, "-P", "-c", _CERTIFICATES, tmp_path, env=env)
    owners = {(tmp_path / f"HSM_OWNER_CERT-{serial}").read_bytes() for serial in serials}
    assert 1 == len(owners)
    for serial in serials:
        names = [f"{kind}-{serial}" for kind in ("HSM_OWNER_CERT", "LOCAL_IDENTITY_CERT")]
        for name in names:
            run("openssl", "x509", "-inform", "DER", "-in", name, "-out", f"{name}.pem", env=env, cwd=tmp_path)
        verify = ("openssl", "verify", "-CAfile", f"{names[0]}.pem", f"{names[1]}.pem")
        assert f"{names[1]}.pem: OK" in run(*verify, env=env, cwd=tmp_path)
