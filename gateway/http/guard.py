"""Who may talk to the HTTP door from a browser, and what the browser must never do with an answer.

A page of a stranger can make a browser send requests to a loopback address (DNS rebinding, cross-site requests). Such a
request carries a Host or an Origin that is not ours.
"""

import ipaddress
import urllib.parse
from collections.abc import Set

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}


class Guard:
    """Refuses foreign hosts and origins, and sets the security headers."""

    def __init__(self, app: ASGIApp, *, hosts: Set[str], origins: Set[str]) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on if it is meant for this door."""
        if scope["type"] != "http":
            return
        problem = self._problem(Headers(scope=scope))
        app = self._app if problem is None else _forbidden(problem)
        await app(scope, receive, _with_security_headers(send))

    def _problem(self, headers: Headers) -> str | None:
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return "This host name is not known here. The operator lists names in TUTELAGE_GATEWAY_HTTP_HOSTS."
        if origins and not (len(origins) == 1 and self._may_ask(origins[0], host=hosts[0])):
            return "This origin may not call. The operator lists origins in TUTELAGE_GATEWAY_HTTP_ORIGINS."
        return None

    def _is_ours(self, host: str) -> bool:
        name = (urllib.parse.urlsplit(f"//{host}").hostname or "").lower()
        return name in self._hosts or _is_address(name)

    def _may_ask(self, origin: str, *, host: str) -> bool:
        own = {f"http://{host}".lower(), f"https://{host}".lower()}
        return origin.lower() in self._origins | own


def _is_address(name: str) -> bool:
    # Rebinding needs a name that changes its meaning; a page whose host is an address came from that address.
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _forbidden(problem: str) -> ASGIApp:
    return JSONResponse({"code": "permission_denied", "message": problem}, status_code=403)


def _with_security_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            MutableHeaders(scope=message).update(SECURITY_HEADERS)
        await send(message)

    return send_with_headers
