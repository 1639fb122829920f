"""An SMTP conversation line by line with a site's server, for what no client library says: any parameter, any order."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from types import TracebackType
from typing import Self

from postroad.testing.site import PASSWORD, PATIENCE, Site, trusting


class Talk:
    """`async with Talk(site) as talk`: connected, and EHLO said. On `submissions` it trusts our certificate."""

    def __init__(self, site: Site, service: str = "submissions") -> None:
        self._endpoint = site.node.endpoints[service][0]
        self._context = trusting() if service == "submissions" else None
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self.offered: dict[str, str] = {}  # EHLO keywords with what stands behind them
        self.answer = ""  # the last reply, all its lines

    async def __aenter__(self) -> Self:
        endpoint = self._endpoint
        self._reader, self._writer = await asyncio.open_connection(
            endpoint.host, endpoint.port, ssl=self._context, server_hostname=endpoint.host if self._context else None
        )
        await self._reply()
        await self.hello()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def hello(self) -> None:
        await self.say("EHLO client.test")
        lines = [line[4:] for line in self.answer.splitlines()[1:]]
        self.offered = {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}

    async def login(self, account: str, password: str = PASSWORD) -> None:
        """And EHLO again: more may be offered now."""
        secret = b64encode(f"\0{account}\0{password}".encode()).decode()
        assert await self.say(f"AUTH PLAIN {secret}") == 235, self.answer
        await self.hello()

    async def say(self, line: str) -> int:
        """The reply code; its text is in `answer`."""
        self._writer.write(line.encode() + b"\r\n")
        return await self._reply()

    async def body(self, content: bytes) -> str:
        """DATA with content whose lines do not begin with dots; the text of the answer, which must be yes."""
        assert await self.say("DATA") == 354, self.answer
        self._writer.write(content)
        assert await self.say(".") == 250, self.answer
        return self.answer

    async def chunk(self, content: bytes) -> str:
        """The whole body by BDAT."""
        self._writer.write(b"BDAT %d LAST\r\n" % len(content) + content)
        assert await self._reply() == 250, self.answer
        return self.answer

    async def _reply(self) -> int:
        lines = []
        async with asyncio.timeout(PATIENCE):
            while True:
                line = (await self._reader.readline()).decode().rstrip("\r\n")
                if not line:
                    raise ConnectionResetError("the server closed the connection")
                lines.append(line)
                if line[3:4] != "-":
                    break
        self.answer = "\n".join(lines)
        return int(line[:3])
