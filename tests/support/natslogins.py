"""Logins of NATS made for a test: nkeys, JWTs of an operator, and the server's configuration that accepts them."""

import base64
import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nkeys as untyped  # pyright: ignore[reportMissingTypeStubs]

nkeys: Any = untyped


@dataclass(frozen=True)
class Login:
    """A pair of keys.

    Args:
        seed: The secret seed.
        public: The public key.
    """

    seed: str
    public: str

    @classmethod
    def make(cls, prefix: int = nkeys.PREFIX_BYTE_USER) -> "Login":
        """Make a new pair."""
        seed = bytes(nkeys.encode_seed(os.urandom(32), prefix))
        return cls(seed.decode(), nkeys.from_seed(bytearray(seed)).public_key.decode())

    def sign(self, payload: bytes) -> bytes:
        """Sign a payload."""
        return bytes(nkeys.from_seed(bytearray(self.seed.encode())).sign(payload))


def _encoded(payload: bytes) -> str:
    return base64.urlsafe_b64encode(payload).decode().rstrip("=")


def jwt(issuer: Login, subject: str, kind: str, claims: dict[str, Any], *, expires: float | None = None) -> str:
    """Return a signed JWT as NATS has them."""
    body: dict[str, Any] = {"iss": issuer.public, "sub": subject, "name": kind, "iat": int(time.time())}
    body["nats"] = {"type": kind, "version": 2, **claims}
    if expires is not None:
        body["exp"] = int(expires)
    digest = hashlib.sha256(json.dumps(body).encode()).digest()
    body["jti"] = base64.b32encode(digest).decode().rstrip("=")
    head = _encoded(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
    signed = f"{head}.{_encoded(json.dumps(body).encode())}"
    return f"{signed}.{_encoded(issuer.sign(signed.encode()))}"


class Operator:
    """An operator with one account, and its users."""

    def __init__(self) -> None:
        self._operator = Login.make(nkeys.PREFIX_BYTE_OPERATOR)
        self._account = Login.make(nkeys.PREFIX_BYTE_ACCOUNT)
        self._system = Login.make(nkeys.PREFIX_BYTE_ACCOUNT)

    def configuration(self) -> str:
        """Return what the server's configuration must have."""
        endless = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
        stored = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)
        operator = jwt(self._operator, self._operator.public, "operator", {"system_account": self._system.public})
        account = jwt(
            self._operator, self._account.public, "account", {"limits": {**endless, "wildcards": True, **stored}}
        )
        system = jwt(self._operator, self._system.public, "account", {"limits": {**endless, "wildcards": True}})
        return (
            f"operator: {operator}\nresolver: MEMORY\nsystem_account: {self._system.public}\n"
            f"resolver_preload: {{ {self._account.public}: {account}, {self._system.public}: {system} }}\n"
        )

    def creds(self, path: Path, *, expires: float | None = None) -> Path:
        """Write the credentials of a new user, as `nsc` writes them."""
        user = Login.make()
        claims: dict[str, Any] = {"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1}
        token = jwt(self._account, user.public, "user", claims, expires=expires)
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )
        return path
