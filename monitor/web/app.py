"""What we serve over HTTP: metrics, health and readiness. Read only, no secret, nothing that a page of the
outside could make us do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

SCRAPES_MAX = 4
"""Scrapes at the same time; a store on a hung disk must not eat threads without bound."""

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
    thread."""

    ready: Callable[[], Sequence[str]]


def make_app(registry: CollectorRegistry, state: WebState) -> Starlette:
    """The application: `/`, `/metrics`, `/healthz`, `/readyz`; GET and HEAD only."""
    scraping = 0

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

    return Starlette(
        routes=[
            Route("/", index),
            Route("/metrics", metrics),
            Route("/healthz", alive),
            Route("/readyz", ready),
        ]
    )
