"""DNS of the lab in a process of its own, so that its CPU is not counted: reverse names for who connects.

`python -m bench.names` answers until it is stopped; `names()` runs it and gives its address.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from postroad.lab.dns import LabDns

CLIENT = "mail.client.test"


async def serve() -> None:
    dns = LabDns()
    dns.add_zone("127.in-addr.arpa")
    dns.add_zone("client.test")
    dns.put("1.0.0.127.in-addr.arpa", "PTR", f"{CLIENT}.")
    dns.put(CLIENT, "A", "127.0.0.1")
    print(await dns.start(), flush=True)
    await asyncio.Event().wait()


@contextmanager
def names() -> Iterator[str]:
    """Its `address:port`, for `[dns] nameservers`."""
    process = subprocess.Popen([sys.executable, "-m", "bench.names"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    asyncio.run(serve())
