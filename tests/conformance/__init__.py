"""A test suite for any PKCS#11 module, through its C interface alone.

`PTKC_TEST_MODULE` names the shared object (default: the project's own). The suite starts it on an empty token store in
a temporary directory, initialises one token and asks for what the OASIS specification 3.2 says; where that allows
several codes, each is accepted. Tests of mechanisms the module does not list are skipped, unless `PTKC_TEST_NO_SKIPS=1`
turns a skip into a failure. What SoftHSM2 is known to do otherwise stands in `deviations.py`.
"""
