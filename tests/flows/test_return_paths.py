"""A domain of one's own for return addresses: by command, checked in DNS, said on the wire, and taken back."""

from __future__ import annotations

from pathlib import Path

from tests.flows.test_returns import message_of, shop, suppressed

from postroad.testing.site import kinds


async def test_a_domain_and_a_stream_get_return_paths_of_their_own(tmp_path: Path) -> None:
    async with shop(tmp_path) as (site, send):
        wanted = await site.run("domain", "return-path", "here.test", code=1)
        assert "bounces.here.test.\tIN\tMX\t10 mail.example.test." in wanted
        for name in ("bounces.here.test", "news.here.test"):
            site.world.dns.put(name, "MX", "10 mail.example.test.")
            site.world.dns.put(name, "TXT", '"v=spf1 mx -all"')
        told = await site.run("domain", "return-path", "here.test")
        assert "come back to bounces.here.test" in told
        assert "bounces.here.test.\tIN\tMX" in await site.run("domain", "records", "here.test")
        await site.run("stream", "return-path", "shop", "broadcast", "news.here.test")

        found = await site.run("domain", "verify", "here.test", code=1)  # the test's host has no address
        assert "bounces.here.test MX leads to mail.example.test" in found
        message = message_of(await send("bounce@late.test"))
        await site.when(message, lambda story: "returned" in kinds(story, "bounce@late.test"))
        await site.settled(message_of(await send("accept@late.test", MessageStream="broadcast")))
        assert [letter.reverse_path.partition("@")[2] for letter in site.world.bag.letters] == [
            "bounces.here.test",
            "news.here.test",
        ]
        listed = await site.run("suppression", "list", "shop", "outbound")
        assert "bounce@late.test  hard bounce  recipient" in listed
        await site.run("suppression", "remove", "shop", "outbound", "bounce@late.test")
        await site.run("suppression", "add", "shop", "broadcast", "carol@far.test")
        assert await suppressed(site) == {}
        assert list(await suppressed(site, "broadcast")) == ["carol@far.test"]

        await site.run("domain", "return-path", "here.test", "--off")
        await site.run("stream", "return-path", "shop", "broadcast", "--off")
        assert "no return path of its own" in await failed(site, "domain", "return-path", "here.test", "--off")
        await site.settled(message_of(await send("accept@late.test")))
        assert site.world.bag.letters[-1].reverse_path.endswith("@mail.example.test")


async def failed(site, *words: str) -> str:
    from postroad.testing.server import ServerFailed

    try:
        await site.run(*words)
    except ServerFailed as error:
        return str(error)
    raise AssertionError("it was to fail")
