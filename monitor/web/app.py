"""What we serve over HTTP: metrics, health and readiness, read only and without a secret; the callbacks of
channels, and what platforms push: each of them its channel or connector checks for a signature.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from alerts.contract import CallbackAnswer
from connectors.contract import Delivery
from monitor.pushed import AccountKey, Answer

SCRAPES_MAX = 4
"""Scrapes at the same time; a store on a hung disk must not eat threads without bound."""

CALLBACKS_MAX = 8
"""Callbacks at the same time; each waits for a channel to look at its signature, and no longer."""

CALLBACK_BYTES_MAX = 512 * 1024
"""Slack's callbacks hold the whole message, escaped twice: a stranger's emoji make up to 94 kB of it."""

DELIVERIES_MAX = 8
"""Deliveries at the same time; each waits for its commit."""

DELIVERY_BYTES_MAX = 2 * 1024 * 1024

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_INDEX = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>response-monitor</title></head>
<body><h1>response-monitor</h1>
<ul>
<li><a href="/metrics">/metrics</a>: figures for Prometheus</li>
<li><a href="/healthz">/healthz</a>: the process is alive</li>
<li><a href="/readyz">/readyz</a>: the store answers and the deadline loop runs</li>
</ul></body></html>
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WebState:
    """What the pages ask of the daemon. `ready` gives the reasons why it is not ready, in plain words and
    without secrets; none where it is. It must answer at once, from what is known: it is asked by the web
    thread. `receive(channel, headers, body)` hands a callback to the channel of that name; it answers 404
    where none listens. `deliver(account, delivery)` hands what was pushed to the account's connector, and
    returns once it is committed."""

    ready: Callable[[], Sequence[str]]
    receive: Callable[[str, Mapping[str, str], bytes], CallbackAnswer] = lambda *_: CallbackAnswer(404)
    deliver: Callable[[AccountKey, Delivery], Answer] = lambda *_: Answer(404)


def make_app(registry: CollectorRegistry, state: WebState) -> Starlette:
    """The application: GET and HEAD of `/`, `/metrics`, `/healthz`, `/readyz`; POST `/callbacks/CHANNEL`; GET
    and POST `/webhooks/BRAND/CONNECTOR/ACCOUNT`."""
    scraping = calling = 0

    async def index(_request: Request) -> Response:
        return HTMLResponse(_INDEX, headers=HEADERS)

    async def alive(_request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=HEADERS)

    async def ready(_request: Request) -> Response:
        try:
            reasons = list(state.ready())
        except Exception as error:
            log.error("readiness cannot be told", error=type(error).__name__)
            reasons = ["readiness cannot be told; see the log"]
        return JSONResponse(
            {"ready": not reasons, "reasons": reasons}, status_code=503 if reasons else 200, headers=HEADERS
        )

    async def metrics(request: Request) -> Response:
        # Only the event loop's thread counts, so this needs no lock.
        nonlocal scraping
        if scraping >= SCRAPES_MAX:
            return PlainTextResponse(
                "too many scrapes at once\n", status_code=503, headers={**HEADERS, "Retry-After": "5"}
            )
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        scraping += 1
        try:
            body = await run_in_threadpool(encode, registry)
        finally:
            scraping -= 1
        return Response(body, headers={**HEADERS, "Content-Type": content_type})

    async def callback(request: Request) -> Response:
        nonlocal calling
        if calling >= CALLBACKS_MAX:
            return PlainTextResponse("", status_code=503, headers={**HEADERS, "Retry-After": "1"})
        calling += 1
        try:
            body = await _read(request, CALLBACK_BYTES_MAX)
            if body is None:
                return PlainTextResponse("", status_code=413, headers=HEADERS)
            headers = {name.lower(): value for name, value in request.headers.items()}
            channel = request.path_params["channel"]
            answer = await run_in_threadpool(state.receive, channel, headers, body)
        finally:
            calling -= 1
        return PlainTextResponse(answer.body, status_code=answer.status, headers=HEADERS)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/metrics", metrics),
            Route("/healthz", alive),
            Route("/readyz", ready),
            Route("/callbacks/{channel}", callback, methods=["POST"]),
            Route("/webhooks/{brand}/{connector}/{account}", _deliver_to(state), methods=["GET", "POST"]),
        ]
    )


def _deliver_to(state: WebState) -> Callable[[Request], Awaitable[Response]]:
    """The address of every account: what is pushed to one is handed on, as it came."""
    delivering = 0

    async def delivery(request: Request) -> Response:
        nonlocal delivering
        if delivering >= DELIVERIES_MAX:
            return PlainTextResponse("", status_code=503, headers={**HEADERS, "Retry-After": "1"})
        delivering += 1
        try:
            body = await _read(request, DELIVERY_BYTES_MAX)
            if body is None:
                return PlainTextResponse("", status_code=413, headers=HEADERS)
            given = Delivery(
                request.method,
                {name.lower(): value for name, value in request.headers.items()},
                dict(reversed(request.query_params.multi_items())),
                body,
            )
            path = request.path_params
            key = (path["brand"], path["connector"], path["account"])
            answer = await run_in_threadpool(state.deliver, key, given)
        finally:
            delivering -= 1
        headers = {**HEADERS, "Content-Type": answer.content_type}
        if answer.retry_seconds is not None:
            headers["Retry-After"] = str(answer.retry_seconds)
        return Response(answer.body, status_code=answer.status, headers=headers)

    return delivery


async def _read(request: Request, bytes_max: int) -> bytes | None:
    """The body; None where it is larger than that."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            return None
    return bytes(body)
