"""A software HSM behind PKCS#11: `libptkc.so`, which any application loads, over token stores in Python."""

__all__ = ["__version__"]

__version__ = "0.1.0"
