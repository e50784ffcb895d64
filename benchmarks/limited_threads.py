"""botocore's adaptive mode at a limit, in threads: `limited_threads.py URL ITEMS` archives, and prints what it took."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from rounds import MISSING

try:
    import botocore.session
    from botocore.config import Config
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(MISSING)

_THREADS: Final = 32
_ATTEMPTS: Final = 50


def _measure(url: str, items: int) -> dict[str, Any]:
    # Any service does: it posts a body, and reads one.
    service: Any = botocore.session.get_session().create_client(
        "lambda",
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id="of",
        aws_secret_access_key="a benchmark",  # noqa: S106 - it is none
        config=Config(retries={"mode": "adaptive", "total_max_attempts": _ATTEMPTS}, max_pool_connections=_THREADS),
    )
    body = json.dumps({"name": "Example Ltd"})

    def post(_: int) -> int:
        try:
            answer = service.invoke(FunctionName="archive", Payload=body)
        except Exception:  # noqa: BLE001 - whatever it is, the call has failed
            return -1
        answer["Payload"].read()
        return int(answer["ResponseMetadata"]["RetryAttempts"])

    began = time.monotonic()
    with ThreadPoolExecutor(_THREADS) as pool:
        retries = list(pool.map(post, range(items)))
    return {
        "seconds": time.monotonic() - began,
        "failed": retries.count(-1),
        "refused": sum(count for count in retries if count > 0),
        "found": "",
    }


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], int(sys.argv[2]))))
