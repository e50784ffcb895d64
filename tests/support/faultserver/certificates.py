"""The server's side of TLS, valid or with one defect, and a client's that trusts the valid one."""

import datetime as dt
import functools
import ssl
from typing import Literal

import trustme

Shown = Literal["nothing", "a good certificate", "a certificate of an unknown authority"]
Certificate = Literal["good", "expired", "not-yet-valid", "wrong-host", "self-signed", "unknown-authority"]

NAME = "api.example"
"""A name that the good certificate is for too: what is reached by a proxy must not be loopback."""
_HOST = "127.0.0.1"


def client_context() -> ssl.SSLContext:
    """Return a context that trusts only the test's authority."""
    return ssl.create_default_context(cadata=_authority().cert_pem.bytes().decode())


def authority_pem() -> bytes:
    """Return the certificate of the test's authority, as a file has it."""
    return _authority().cert_pem.bytes()


def choosy_client_context(
    *, version: ssl.TLSVersion | None = None, cipher: str | None = None, shows: Shown = "nothing"
) -> ssl.SSLContext:
    """Return a context like `client_context`, for one version and cipher, that shows this client certificate."""
    context = _choosy(client_context(), version, cipher)
    if shows != "nothing":
        authority = _authority() if shows == "a good certificate" else trustme.CA()
        with authority.issue_cert("client@api.example").private_key_and_cert_chain_pem.tempfile() as path:
            context.load_cert_chain(path)
    return context


def choosy_server_context(
    *, version: ssl.TLSVersion | None = None, cipher: str | None = None, wants_certificate: bool = False
) -> ssl.SSLContext:
    """Return a context with a good certificate, for one version and cipher, that may want one of the client."""
    context = _choosy(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), version, cipher)
    with _chain("good").tempfile() as path:
        context.load_cert_chain(path)
    if wants_certificate:
        context.load_verify_locations(cadata=_authority().cert_pem.bytes().decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _choosy(context: ssl.SSLContext, version: ssl.TLSVersion | None, cipher: str | None) -> ssl.SSLContext:
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if cipher is not None:
        context.set_ciphers(cipher)
    return context


@functools.cache
def server_context(certificate: Certificate) -> ssl.SSLContext:
    """Return the server's side of TLS with this certificate, made once for the whole run."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with _chain(certificate).tempfile() as path:
        context.load_cert_chain(path)
    return context


def _chain(certificate: Certificate) -> trustme.Blob:
    """Return the key and the certificate as PEM."""
    now, year = dt.datetime.now(dt.UTC), dt.timedelta(days=365)
    match certificate:
        case "expired":
            leaf = _authority().issue_cert(_HOST, not_before=now - 2 * year, not_after=now - year)
        case "not-yet-valid":
            leaf = _authority().issue_cert(_HOST, not_before=now + year, not_after=now + 2 * year)
        case "wrong-host":
            leaf = _authority().issue_cert("elsewhere.example")
        case "unknown-authority":
            leaf = trustme.CA().issue_cert(_HOST)
        case "self-signed":
            # An authority's own certificate, used as a server's, is self-signed.
            own = trustme.CA()
            return trustme.Blob(own.private_key_pem.bytes() + own.cert_pem.bytes())
        case _:
            leaf = _authority().issue_cert(_HOST, NAME)
    return leaf.private_key_and_cert_chain_pem


@functools.cache
def _authority() -> trustme.CA:
    return trustme.CA()
