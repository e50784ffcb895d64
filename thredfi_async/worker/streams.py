"""Creates the streams and the consumer where they are missing, and checks them where they exist."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamInfo,
)
from nats.js.api import (
    StreamConfig as JetStreamConfig,
)
from nats.js.errors import APIError, NotFoundError

from thredfi_async import ConfigurationError
from thredfi_async.bulk import ItemState
from thredfi_async.worker.broker import Broker
from thredfi_async.worker.errors import BrokerError
from thredfi_async.worker.events import LARGEST_OUTCOME
from thredfi_async.worker.nats_errors import TROUBLE
from thredfi_async.worker.stream_config import StreamConfig

ACK_WAIT: Final = 30.0
"""Seconds after which the broker delivers a message again when its worker is silent."""

_LARGEST_COMMAND: Final = 512 * 1024  # as base64 inside a dead letter it is still below the broker's usual 1 MiB
_HEADERS: Final = 512
_UNLIMITED: Final = -1
_NANOSECONDS: Final = 1e-6
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_WEEK: Final = 7 * 86_400.0


async def ensure_streams(broker: Broker, stream_config: StreamConfig) -> int:
    """Create the three streams of a queue, or accept existing ones.

    Args:
        broker: The broker.
        stream_config: The names.

    Returns:
        When that of the commands was created, in nanoseconds since 1970; rounded down.

    Raises:
        ConfigurationError: An existing stream is not suitable; the message says why, and what to do.
        BrokerError: The broker refuses, has no JetStream, or does not answer.
    """
    window = stream_config.dedup_window
    commands = await _ensure_stream(
        broker,
        [stream_config.subject],
        JetStreamConfig(
            name=stream_config.stream,
            description="Thredfi customers to archive",
            subjects=[stream_config.subject],
            retention=RetentionPolicy.WORK_QUEUE,
            # A full queue refuses new commands; the default would delete the oldest.
            discard=DiscardPolicy.NEW,
            max_msg_size=_LARGEST_COMMAND,
            storage=StorageType.FILE,
            duplicate_window=window,
        ),
    )
    outcomes = JetStreamConfig(
        name=stream_config.outcomes_stream,
        description="How archiving ended, by customer",
        subjects=[stream_config.outcomes_subjects],
        max_age=_WEEK,
        max_msg_size=LARGEST_OUTCOME + _HEADERS,
        storage=StorageType.FILE,
        duplicate_window=min(window, _WEEK),
    )
    await _ensure_stream(broker, [stream_config.outcomes_subject(state) for state in ItemState], outcomes)
    age = stream_config.dead_letters_max_age
    dead = JetStreamConfig(
        name=stream_config.dead_stream,
        description="Commands that were given up, with the reason",
        subjects=[stream_config.dead_subject],
        storage=StorageType.FILE,
        max_age=age or 0.0,
        duplicate_window=min(window, age or window),
    )
    found = (await _ensure_stream(broker, [stream_config.dead_subject], dead)).config
    # The broker counts whole nanoseconds, which not every number of seconds is.
    if age is not None and abs((found.max_age or 0.0) - age) > _NANOSECONDS:
        kept = f"{found.max_age:.12g} s" if found.max_age else "for ever"
        raise ConfigurationError(
            f"the stream {dead.name} already exists, and keeps dead letters {kept} (max_age), not {age:.12g} s: "
            f"change it with `nats stream edit {dead.name} --max-age {age:.12g}s`, or leave the setting out"
        )
    # nats-py cuts off less than a microsecond.
    return ((commands.created or _EPOCH) - _EPOCH) // _MICROSECOND * 1000


async def ensure_consumer(broker: Broker, stream_config: StreamConfig) -> float:
    """Create the durable pull consumer that all workers of a queue share, or accept an existing one.

    It has no delivery limit: beyond one, JetStream neither delivers a message again nor removes it.

    Args:
        broker: The broker.
        stream_config: The names.

    Returns:
        Seconds after which it delivers a message again.

    Raises:
        ConfigurationError: An existing consumer is not suitable.
        BrokerError: The broker refuses, or does not answer.
    """
    config = ConsumerConfig(
        durable_name=stream_config.consumer,
        description="thredfi worker",
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT,
        deliver_policy=DeliverPolicy.ALL,
        filter_subject=stream_config.subject,
        max_deliver=_UNLIMITED,
        # Each worker limits what it holds; a limit for all together would only leave some idle.
        max_ack_pending=_UNLIMITED,
    )
    name = stream_config.consumer
    is_missing = False
    try:
        jetstream = broker.jetstream
        try:
            info: ConsumerInfo = await jetstream.consumer_info(stream_config.stream, name)
        except NotFoundError:
            is_missing = True
            info = await jetstream.add_consumer(stream_config.stream, config)
    except TROUBLE as error:
        what = f"the consumer {name} on the stream {stream_config.stream}"
        raise _refusal(broker, what, error, is_missing=is_missing) from None
    _check_consumer(info.config, stream_config)
    # `backoff` replaces `ack_wait` if it is set.
    return min(info.config.backoff or [info.config.ack_wait or ACK_WAIT])


async def _ensure_stream(broker: Broker, subjects: Sequence[str], config: JetStreamConfig) -> StreamInfo:
    name = str(config.name)
    is_missing = False
    try:
        try:
            info: StreamInfo = await broker.jetstream.stream_info(name)
        except NotFoundError:
            is_missing = True
            info = await _add_stream(broker, config)
    except TROUBLE as error:
        raise _refusal(broker, f"the stream {name}", error, is_missing=is_missing) from None
    _check_stream(info.config, subjects)
    return info


def _refusal(broker: Broker, what: str, error: Exception, *, is_missing: bool) -> BrokerError:
    why = broker.connection.why(error)
    if not is_missing:
        return BrokerError(f"NATS refuses {what}: {why}")
    is_denied = broker.connection.denied is not None
    advice = "; run `thredfi worker` once with a login that may create it" if is_denied else ""
    return BrokerError(f"NATS does not have {what}, and does not create it: {why}{advice}")


async def _add_stream(broker: Broker, config: JetStreamConfig) -> StreamInfo:
    info: StreamInfo
    try:
        info = await broker.jetstream.add_stream(config)
    except APIError as refusal:
        try:
            # Another worker may have created it in between, with other settings.
            info = await broker.jetstream.stream_info(config.name)
        except NotFoundError:
            raise refusal from None
    return info


def _check_stream(config: JetStreamConfig, subjects: Sequence[str]) -> None:
    problem = None
    patterns = config.subjects or []
    missing = [subject for subject in subjects if not any(_matches(pattern, subject) for pattern in patterns)]
    if missing:
        problem = f"does not accept the subject {missing[0]}"
    elif config.no_ack:
        problem = "does not acknowledge what it stores (no_ack)"
    elif config.sealed:
        problem = "is sealed"
    elif config.retention == RetentionPolicy.INTEREST:
        problem = "keeps messages only while a consumer is interested (retention interest)"
    if problem is not None:
        raise ConfigurationError(f"the stream {config.name} already exists, and {problem}: fix it, or name another")


def _check_consumer(config: ConsumerConfig, stream_config: StreamConfig) -> None:
    problem = None
    if config.deliver_subject is not None:
        problem = "is a push consumer"
    elif config.ack_policy != AckPolicy.EXPLICIT:
        problem = "does not ask for an acknowledgement of each message (ack_policy explicit)"
    elif config.headers_only:
        problem = "delivers messages without their payloads (headers_only)"
    elif config.max_deliver not in {None, _UNLIMITED}:
        problem = f"gives up after {config.max_deliver} deliveries (max_deliver), and strands a message then"
    elif config.filter_subject and not _matches(config.filter_subject, stream_config.subject):
        problem = f"does not get the subject {stream_config.subject} (filter_subject)"
    if problem is not None:
        what = f"the consumer {stream_config.consumer} of the stream {stream_config.stream} already exists"
        raise ConfigurationError(f"{what}, and {problem}: fix it, or name another")


def _matches(pattern: str, subject: str) -> bool:
    """Return whether a pattern with NATS's wildcards matches a subject."""
    given, wanted = subject.split("."), pattern.split(".")
    for position, word in enumerate(wanted):
        if word == ">":
            return position < len(given)
        if position == len(given) or word not in {"*", given[position]}:
            return False
    return len(wanted) == len(given)
