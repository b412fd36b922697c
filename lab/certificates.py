"""The lab's certificate authorities, and the certificates of its hosts' HTTPS listeners.

Two authorities: the one that pusher is given to trust, and another that nobody trusts. Keys are made anew with every
lab. Not here: who gets which certificate (scenarios.py), who presents it (lab/winrm).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.processes import write_atomically
from lab.scenarios import CA, Certificate

_CA_KEY = "lab-ca.key"
_OTHER_CA, _OTHER_CA_KEY = "other-ca.pem", "other-ca.key"
_WRONG_NAME = "somebody-else"
_DAY = timedelta(days=1)


def make_authorities(folder: Path) -> None:
    """Both of them, in a folder that is made for them."""
    folder.mkdir(mode=0o700)
    for name, file, key_file in (("Lab CA", CA, _CA_KEY), ("Another CA", _OTHER_CA, _OTHER_CA_KEY)):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, subject, key.public_key(), datetime.now(UTC) - _DAY, datetime.now(UTC) + 30 * _DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(authority=True), critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        made = builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256())
        write_atomically(folder / file, made.public_bytes(serialization.Encoding.PEM).decode())
        write_atomically(folder / key_file, _key_text(key), mode=0o600)


def issue(folder: Path, fqdn: str, kind: Certificate, target: Path) -> None:
    """A host's certificate and key, in one PEM file."""
    name = fqdn if kind is not Certificate.WRONG_NAME else f"{_WRONG_NAME}.{fqdn.partition('.')[2]}"
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin, end = datetime.now(UTC) - _DAY, datetime.now(UTC) + 10 * _DAY
    if kind is Certificate.EXPIRED:
        begin, end = begin - 10 * _DAY, end - 12 * _DAY
    if kind is Certificate.SELF_SIGNED:
        issuer, issuer_key = subject, key
    else:
        trusted = kind is not Certificate.UNTRUSTED
        issuer, issuer_key = _authority(folder, trusted=trusted)
    _write(target, _builder(subject, issuer, key.public_key(), begin, end), [x509.DNSName(name)], key, issuer_key)


def issue_for_controller(folder: Path, fqdn: str, address: str, target: Path) -> None:
    """A domain controller's certificate and key; its clients may know it by its address only."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer, issuer_key = _authority(folder, trusted=True)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, fqdn)])
    now = datetime.now(UTC)
    builder = _builder(subject, issuer, key.public_key(), now - _DAY, now + 10 * _DAY)
    names = [x509.DNSName(fqdn), x509.IPAddress(ip_address(address))]
    _write(target, builder, names, key, issuer_key)


def _write(
    target: Path,
    builder: x509.CertificateBuilder,
    names: Sequence[x509.GeneralName],
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> None:
    """A server's certificate for those names and its key, in one PEM file."""
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    made = builder.add_extension(identifier, critical=False).sign(issuer_key, hashes.SHA256())
    text = made.public_bytes(serialization.Encoding.PEM).decode() + _key_text(key)
    write_atomically(target, text, mode=0o600)


def fingerprint(pem: Path) -> str:
    """SHA-256 of the certificate in a file, in hexadecimal digits."""
    return x509.load_pem_x509_certificate(pem.read_bytes()).fingerprint(hashes.SHA256()).hex()


def _authority(folder: Path, *, trusted: bool) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
    file, key_file = (CA, _CA_KEY) if trusted else (_OTHER_CA, _OTHER_CA_KEY)
    key = serialization.load_pem_private_key((folder / key_file).read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return x509.load_pem_x509_certificate((folder / file).read_bytes()).subject, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=begin,
        not_valid_after=end,
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_text(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
