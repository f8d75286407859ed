"""The client's certificate store: whole files or none, and nothing different overwritten unasked."""

import os
import stat

import pytest

from ptkc.client.certificates import OWNER, CertificateStore, certificate_file, from_pem, request_file, to_pem

DER = bytes(range(256)) * 3


@pytest.fixture
def store(tmp_path):
    """Return a store whose directory is not there yet."""
    return CertificateStore(str(tmp_path / "above" / "certs"))


def test_pem_and_back_is_the_same():
    """Lines of 64 characters between the two marks, as RFC 7468 has it."""
    text = to_pem(DER)
    assert b"-----BEGIN CERTIFICATE-----" == text.splitlines()[0]
    assert {64} == {len(line) for line in text.splitlines()[1:-2]}
    assert DER == from_pem(text)


def test_text_before_pem_is_skipped_and_der_is_taken_as_it_is():
    """OpenSSL writes the certificate in words above it; other programs write DER."""
    assert DER == from_pem(b"Certificate:\n    Data:\n" + to_pem(DER))
    assert DER == from_pem(DER)


@pytest.mark.parametrize("broken", [to_pem(DER)[:-40], to_pem(DER).replace(b"AAEC", b"AA!C")])
def test_broken_pem_is_refused(broken):
    """Half a file is no certificate."""
    with pytest.raises(ValueError, match="PEM"):
        from_pem(broken)


def test_reading_makes_nothing(store):
    """A store that nobody wrote to is no directory."""
    assert store.read(OWNER) is None
    assert not os.path.exists(store.directory)


def test_directory_is_the_users_alone(store):
    """Mode 0700, and no trial file stays."""
    store.prepare()
    assert 0o700 == stat.S_IMODE(os.stat(store.directory).st_mode)
    assert [] == os.listdir(store.directory)


def test_what_is_written_is_read_again(store):
    """A request's file says that it is one."""
    path = store.write(certificate_file("1197"), DER)
    assert path == store.path("HSM_1197.crt")
    assert DER == store.read("HSM_1197.crt")
    store.write(request_file("1197"), DER)
    with open(store.path("HSM_1197.csr"), encoding="ascii") as file:
        assert "-----BEGIN CERTIFICATE REQUEST-----\n" == file.readline()


def test_something_different_is_not_overwritten_unasked(store):
    """The same again is no difference."""
    store.write(OWNER, DER)
    store.write(OWNER, DER)
    with pytest.raises(FileExistsError) as caught:
        store.write(OWNER, b"other")
    assert caught.value.filename == store.path(OWNER)
    assert DER == store.read(OWNER)
    store.write(OWNER, b"other", replace=True)
    assert b"other" == store.read(OWNER)
    assert [OWNER] == os.listdir(store.directory)


def test_full_disk_leaves_what_was_there(store, monkeypatch):
    """The file is written elsewhere and renamed when it is whole."""
    store.write(OWNER, DER)

    def full(_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        store.write(OWNER, b"other", replace=True)
    assert caught.value.filename == store.path(OWNER)
    with pytest.raises(OSError, match="No space left"):
        store.prepare()
    assert DER == store.read(OWNER)
    assert [OWNER] == os.listdir(store.directory)


def test_link_is_replaced_and_not_written_through(store, tmp_path):
    """What a link points at is somebody else's file."""
    store.prepare()
    (tmp_path / "target").write_bytes(b"kept")
    os.symlink(tmp_path / "target", store.path(OWNER))
    store.write(OWNER, DER, replace=True)
    assert b"kept" == (tmp_path / "target").read_bytes()
    assert DER == store.read(OWNER)


def test_file_too_long_for_a_certificate_is_refused(store):
    """Nobody's gigabytes are read into memory."""
    store.prepare()
    with open(store.path(OWNER), "wb") as file:
        file.truncate(1 << 20)
    with pytest.raises(ValueError, match="too long"):
        store.read(OWNER)
