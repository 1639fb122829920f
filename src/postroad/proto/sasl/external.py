"""EXTERNAL (RFC 4422 appendix A): the client's certificate says who it is, the exchange at most which of its names."""

from __future__ import annotations

from postroad.proto.sasl.exchange import Certified, Challenge, Failure, Step, read_field


class ExternalServer:
    """One message: whom to act as, or nothing."""

    __slots__ = ()

    def step(self, response: bytes | None) -> Step:
        if response is None:
            return Challenge(b"")
        name = read_field(response)
        return Failure("EXTERNAL: the name is too long or not UTF-8") if name is None else Certified(name)
