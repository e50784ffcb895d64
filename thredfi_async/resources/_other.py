"""Requests to the API for which there is no method yet."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast
from urllib.parse import urlencode

import attrs

from thredfi_async._checks.headers import NO_HEADERS
from thredfi_async._codec import converter
from thredfi_async._codec.error_envelope import api_error
from thredfi_async._codec.response_headers import request_id
from thredfi_async._engine.call_options import CallOptions
from thredfi_async._engine.pipeline import Pipeline
from thredfi_async._http_statuses import SUCCESS
from thredfi_async._interfaces import Failure, Hidden, Outcome, Request, Response, Success, Verdict
from thredfi_async.errors import Effect, InvalidRequestError, ResponseDecodeError
from thredfi_async.models import UNSET
from thredfi_async.resources._headers import checked_headers, merged

_METHOD: Final = re.compile(r"[A-Z]{1,20}", re.ASCII)
_PATH: Final = re.compile(r"/(?!/)[!-~]*", re.ASCII)
_READING: Final = frozenset({"GET", "HEAD"})


@attrs.frozen(eq=False)
class Sent:
    """What the caller gave for one request, which no traceback shows.

    Args:
        params: The query.
        body: What to send as JSON; `UNSET` for no body.
        headers: The caller's own headers.
    """

    params: Mapping[str, Any] | None = attrs.field(repr=False)
    body: Any = attrs.field(repr=False)
    headers: Mapping[str, str] | None = attrs.field(repr=False)


@attrs.frozen(eq=False)
class OtherRequests:
    """Calls by method and path.

    Args:
        pipeline: Runs them.
        base_url: The base URL of the API, without a trailing slash.
        headers: Headers of every call, already checked.
    """

    pipeline: Pipeline
    base_url: str
    headers: Hidden[Mapping[str, str]] = Hidden(NO_HEADERS)  # noqa: RUF009 - empty, and never changed

    async def send(self, method: str, path: str, sent: Hidden[Sent], options: CallOptions) -> Outcome[Any]:
        """Check the arguments, and run the call.

        Args:
            method: The HTTP method, in capital letters.
            path: The path behind the base URL.
            sent: What the caller gave.
            options: The call's own settings.

        Returns:
            How it succeeded; its value is the parsed JSON, or None without a body.

        Raises:
            InvalidRequestError: An argument is invalid; nothing was sent.
            ThredfiError: How it failed.
        """
        problems = [*_line_problems(method, path)]
        query = _query(sent.reveal().params, problems)
        body = _encoded(sent.reveal().body, problems)
        if method in _READING and body.reveal() is not None:
            problems.append(f"json: a {method} has no body; give params")
        own = sent.reveal().headers
        headers = checked_headers(Hidden(own), problems) if own is not None else Hidden(NO_HEADERS)
        del own
        if problems:
            raise InvalidRequestError(problems)
        kind = NO_HEADERS if body.reveal() is None else {"Content-Type": "application/json"}
        mutates = method not in _READING
        request = Request[Any](
            method=method,
            url=f"{self.base_url}{path}{query.reveal()}",
            judge=_judge_change if mutates else _judge,
            headers={**merged(self.headers.reveal(), headers.reveal()), **kind},
            # aiohttp reports when a body leaves; of a request without one, nothing is known.
            body=body.reveal(),
            mutates=mutates,
            is_sent_once=mutates,
        )
        return await self.pipeline.run("request", lambda: request, options)


def _line_problems(method: object, path: object) -> list[str]:
    problems: list[str] = []
    if not isinstance(method, str) or not _METHOD.fullmatch(method) or method == "CONNECT":
        problems.append("method: must be an HTTP method in capital letters, such as GET")
    if not isinstance(path, str) or not _PATH.fullmatch(path) or "?" in path or "#" in path:
        # What is in it may be personal data.
        problems.append("path: must begin with one slash, be percent-encoded, and have no query; give params for that")
    return problems


def _query(params: Any, problems: list[str]) -> Hidden[str]:  # noqa: ANN401 - a caller's
    if params is None:
        return Hidden("")
    if not isinstance(params, Mapping):
        problems.append(f"params: must be a mapping, not {type(params).__name__}")
        return Hidden("")
    pairs: list[tuple[str, str]] = []
    for name, value in cast("Mapping[object, object]", params).items():
        values = cast("Sequence[object]", value) if isinstance(value, list | tuple) else [value]
        texts = [_text(each) for each in values if each is not None]
        if not isinstance(name, str) or None in texts:
            problems.append("params: names must be texts; values texts, numbers, true or false, or lists of them")
            return Hidden("")
        pairs.extend((name, text) for text in texts if text is not None)
    try:
        return Hidden(f"?{urlencode(pairs)}" if pairs else "")
    except UnicodeError:
        problems.append("params: must be texts that can be written in UTF-8")
        return Hidden("")


def _text(value: object) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
        case _:
            return None


def _encoded(body: Any, problems: list[str]) -> Hidden[bytes | None]:  # noqa: ANN401 - a caller's
    if body is UNSET:
        return Hidden(None)
    try:
        return Hidden(json.dumps(body, allow_nan=False, separators=(",", ":")).encode())
    except (TypeError, ValueError, RecursionError) as error:
        problems.append(f"json: cannot be written as JSON ({type(error).__name__})")
        return Hidden(None)


def _judge(response: Response) -> Verdict[Any]:
    """Judge an answer: any success status counts, with JSON or without a body."""
    if response.status not in SUCCESS:
        return Failure(api_error(response))
    if not response.body and response.flaw is None:
        return Success(None)
    identifier = request_id(response)
    problem = "the body is not JSON" if response.flaw is None else f"the body {response.flaw}"
    if response.flaw is None:
        try:
            return Success(converter.parse(response.body))
        except ResponseDecodeError:
            if response.body.strip() == b"null":
                return Success(None)
    summary = ", ".join([str(response.status), problem] + ([f"request id {identifier}"] if identifier else []))
    return Failure(ResponseDecodeError(summary, problems=[f"$: {problem}"], request_id=identifier))


def _judge_change(response: Response) -> Verdict[Any]:
    """Judge an answer to a request that may have changed something: what cannot be read proves nothing."""
    verdict = _judge(response)
    if isinstance(verdict, Failure) and isinstance(verdict.error, ResponseDecodeError):
        verdict.error.effect = Effect.UNKNOWN
    return verdict
