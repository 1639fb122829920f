"""`GET /server`: the server that a token belongs to, as clients ask for it to see whether the token works."""

from __future__ import annotations

from typing import Final

from postroad.web.postmark.calls import Answer, Call, Handler, answer

DEFAULT_COLOR = "Grey"  # typed clients know no server without a colour


async def show(call: Call) -> Answer:
    """Every key that typed clients want; of what we do not have, the value that says so."""
    server = call.server
    host = call.header.get(b"host", b"").decode("latin-1") or call.api.services.hostname
    return answer(
        {
            "ID": server.id,
            "Name": server.name,
            "ApiTokens": [
                call.header[b"x-postmark-server-token"].decode("latin-1").strip()
            ],  # others are kept as digests
            "ServerLink": f"{call.scope.get('scheme', 'http')}://{host}/console/servers/{server.id}",
            "Color": server.color.capitalize() or DEFAULT_COLOR,
            "SmtpApiActivated": True,
            "RawEmailEnabled": False,
            "DeliveryType": "Sandbox" if server.sandbox else "Live",
            "InboundAddress": "",
            "InboundHash": "",
            "InboundHookUrl": "",
            "InboundDomain": "",
            "InboundSpamThreshold": 0,
            "BounceHookUrl": "",
            "OpenHookUrl": "",
            "DeliveryHookUrl": "",
            "ClickHookUrl": "",
            "PostFirstOpenOnly": False,
            "IncludeBounceContentInHook": False,
            "EnableSmtpApiErrorHooks": False,
            "TrackOpens": False,
            "TrackLinks": "None",
        }
    )


ROUTES: Final[dict[str, dict[str, Handler]]] = {"/server": {"GET": show}}
