"""A program: fuzz one parser, guided by coverage, and keep what reached new places.

    python guided.py TARGET SECONDS SEED CORPUS

CORPUS is a directory: what it has is tried first, what is found is added. It ends with status 0 when the time is up;
an input that does what it must not stands in the report, and in CORPUS as `crash-…`. Without `atheris` the inputs are
changed by chance alone.
"""

from __future__ import annotations

import sys
import time
import traceback
from pathlib import Path
from random import Random

try:
    import atheris
except ImportError:  # there is none for this Python or machine
    atheris = None

if atheris is not None and __name__ == "__main__":
    with atheris.instrument_imports(include=["ptkc", "asn1crypto"]):
        import parsers
else:
    import parsers
from conformance.cryptoki import Cryptoki
from modules import module_under_test
from mutations import mutated


def main() -> None:
    """Run."""
    name, seconds, seed, corpus = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    target = parsers.TARGETS[name]
    Cryptoki(module_under_test().path).initialize()  # libcrypto is reached through the shared object
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(data)
    if atheris is None:
        by_chance(target, seconds, seed, corpus)
        return
    options = [f"-max_total_time={int(seconds)}", f"-seed={seed % 2**31}", f"-artifact_prefix={corpus}/", "-timeout=20",
               "-rss_limit_mb=2048", "-max_len=8192", "-verbosity=0", "-print_final_stats=1"]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: parsers.play(target, data))
    atheris.Fuzz()


def by_chance(target: parsers.Target, seconds: float, seed: int, corpus: Path) -> None:
    """Change what there is by chance until the time is up; end with status 1 at the first trouble."""
    chance, end = Random(seed), time.monotonic() + seconds
    seeds = [path.read_bytes() for path in sorted(corpus.iterdir())]
    while time.monotonic() < end:
        data = mutated(chance, seeds)
        try:
            parsers.play(target, data)
        except Exception:  # noqa: BLE001 - whatever it is
            traceback.print_exc()
            print(data.hex())
            sys.exit(1)


if __name__ == "__main__":
    main()
