"""The content of a message: which customer to archive, with which body."""

from collections.abc import Mapping
from difflib import get_close_matches
from hashlib import sha1, sha256
from typing import Any, Final, Self, cast
from uuid import UUID

import attrs

from thredfi_async import UNSET, CustomerRequest, InvalidRequestError
from thredfi_async._checks.headers import value_problem
from thredfi_async._checks.json import as_object, is_plain_name
from thredfi_async._codec.converter import encode
from thredfi_async._codec.json import Raw, dumps
from thredfi_async.worker.payload import ID, VERSION, identifier, parse, version_problems

_FIELDS: Final = ("version", "business_id", "customer_id", "customer", "partial", "idempotency_key")
_NAMESPACE: Final = UUID("6f3d3f0c-6c1e-5d5b-9f43-5a0e6b1d2c47")
_NAMESPACE_BYTES: Final = _NAMESPACE.bytes
_SUGGESTIONS: Final = 10


def _body(value: CustomerRequest | Mapping[str, Any] | None) -> Any:  # noqa: ANN401 - problems are reported later
    if not isinstance(value, Mapping):
        return value
    try:
        return CustomerRequest.from_mapping(value)
    except InvalidRequestError as error:
        return error


@attrs.frozen
class ArchiveCommand:
    """A command to archive one customer.

    A message holds it as a JSON object, `{"version": 1, "business_id": ..., "customer_id": ...}`, with the optional
    fields `customer` (the fields of the body), `"partial": true` (fields that the body lacks are left out of the
    request on purpose) and `idempotency_key`. Other fields are refused.

    Args:
        business_id: The business's id, a UUID or its canonical text.
        customer_id: The customer's id, likewise.
        customer: The body, as a `CustomerRequest` or a mapping of its fields; None, the default, for the server's own
            record. It holds personal data, and is hidden in `repr`.
        idempotency_key: Sent with every attempt; None, the default, for one that `key` derives.

    Raises:
        InvalidRequestError: Fields are invalid; `.problems` names each by its path, without its value.
    """

    business_id: UUID = attrs.field(converter=identifier)
    customer_id: UUID = attrs.field(converter=identifier)
    customer: CustomerRequest | None = attrs.field(default=None, converter=_body, repr=False)
    idempotency_key: str | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Report all problems at once."""
        problems = [
            f"{name}: must be {ID.must}"
            for name in ("business_id", "customer_id")
            if not ID.accepts(getattr(self, name))
        ]
        body: object = self.customer
        if isinstance(body, InvalidRequestError):
            problems += [f"customer.{problem}" for problem in body.problems]
        elif body is not None and not isinstance(body, CustomerRequest):
            problems.append(f"customer: must be a CustomerRequest or a mapping, not {type(body).__name__}")
        if self.idempotency_key is not None and (problem := value_problem(self.idempotency_key)) is not None:
            problems.append(f"idempotency_key: {problem}")
        if problems:
            raise InvalidRequestError(problems)

    def key(self, message_id: str | None = None) -> str:
        """Return the idempotency key, the same for every delivery of the same message.

        Args:
            message_id: Identifies the message at its broker and stays the same over redeliveries, such as stream
                and sequence. With it, the key is unique to this message: a command that is published again after its
                customer was fixed is a new request. Without it, the key derives from the ids and the body: the same
                request always has the same key, another body has another.

        Returns:
            The command's own key if it has one, or a UUID.
        """
        if self.idempotency_key is not None:
            return self.idempotency_key
        if message_id is None:
            message_id = "" if self.customer is None else sha256(encode(self.customer)).hexdigest()
        return _uuid5(f"{self.business_id}/{self.customer_id}/{message_id}")

    def to_json(self) -> bytes:
        """Encode the command as a message's payload.

        Returns:
            JSON in UTF-8; `from_json` returns the same command.
        """
        payload: dict[str, Any] = {
            "version": VERSION,
            "business_id": str(self.business_id),
            "customer_id": str(self.customer_id),
        }
        if self.customer is not None:
            payload["customer"] = Raw(encode(self.customer))
            if any(getattr(self.customer, name) is UNSET for name in CustomerRequest.FIELD_NAMES):
                payload["partial"] = True
        if self.idempotency_key is not None:
            payload["idempotency_key"] = self.idempotency_key
        return dumps(payload)

    @classmethod
    def from_json(cls, payload: bytes) -> Self:
        """Decode a message's payload, strictly.

        Args:
            payload: The bytes.

        Returns:
            The command.

        Raises:
            InvalidRequestError: The payload is invalid; `.problems` names each problem by its path, and quotes
                nothing.
        """
        fields = parse(payload)
        strange = [name for name in fields if name not in _FIELDS]
        # To look for the name that was meant takes a while: of very many, only the first few are looked at.
        problems = [_unknown(name, suggest=position < _SUGGESTIONS) for position, name in enumerate(strange)]
        problems += version_problems(fields)
        problems += [f"{name}: is missing" for name in ("business_id", "customer_id") if name not in fields]
        partial = fields.get("partial", False)
        if not isinstance(partial, bool):
            problems.append("partial: must be true or false")
        body: Any = fields.get("customer")
        if body is not None and (body := as_object(body)) is None:
            problems.append("customer: must be an object with the fields of the body")
        elif body is not None and partial is True:
            body = {name: UNSET for name in CustomerRequest.FIELD_NAMES if name not in body} | body
        try:
            # Missing ids were reported above; the placeholder only lets the rest be checked.
            business_id, customer_id = fields.get("business_id", _NAMESPACE), fields.get("customer_id", _NAMESPACE)
            command = cls(business_id, customer_id, body, idempotency_key=fields.get("idempotency_key"))
        except InvalidRequestError as error:
            raise InvalidRequestError([*problems, *map(_in_json, error.problems)]) from None
        if problems:
            raise InvalidRequestError(problems)
        return command


def _uuid5(name: str) -> str:
    """Return the text of `uuid.uuid5` in our namespace, which takes twice as long."""
    digest = sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) % 4]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def _in_json(problem: str) -> str:
    """Return a problem's text with the JSON way to leave fields out on purpose."""
    hint = '; give "partial": true to leave such fields out of the body on purpose'
    return problem + hint if problem.endswith(": is missing") else problem


def _unknown(name: object, *, suggest: bool) -> str:
    if not is_plain_name(name):
        return "a field whose name is not shown: is not one of a command's"
    meant = get_close_matches(cast("str", name), _FIELDS, n=1) if suggest else []
    hint = f"; did you mean {meant[0]}?" if meant else ""
    if not meant and name in CustomerRequest.FIELD_NAMES:
        hint = f"; did you mean customer.{name}?"
    return f"{name}: is not a field of a command{hint}"
