"""The faults do what they say, over real HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from simulator.faults import Fault, FaultKind, Faults
from simulator.serve import Served
from simulator.world import FixedClock

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
X_PAGE = {"data": [{"id": str(n), "text": "t"} for n in range(4)], "meta": {"result_count": 4}}


async def page(_request: Request) -> JSONResponse:
    return JSONResponse(X_PAGE)


def answer(fault: Fault | None) -> httpx.Response:
    """One request that this befalls."""
    faults = Faults(FixedClock(START), seed=3)
    if fault is not None:
        faults.once("/page", fault)
    with Served(faults.wrap(Starlette(routes=[Route("/page", page)]))) as served:
        return httpx.get(f"{served.url}/page", timeout=5, trust_env=False)


def test_without_a_fault_all_is_well() -> None:
    """The middleware changes nothing by itself."""
    assert answer(None).json() == X_PAGE


def test_each_kind_is_what_it_says() -> None:
    """Errors, limits, pages for people, half bodies, broken and doubled items."""
    assert answer(Fault(FaultKind.ERROR, status=503)).status_code == 503
    limited = answer(Fault(FaultKind.RATE_LIMIT, headers=(("retry-after", "7"),)))
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert answer(Fault(FaultKind.HTML)).text.startswith("<html>")
    with pytest.raises(json.JSONDecodeError):
        answer(Fault(FaultKind.TRUNCATED)).json()
    broken = answer(Fault(FaultKind.MALFORMED)).json()["data"]
    assert len(broken) == 5 and all(row in broken for row in X_PAGE["data"])
    doubled = answer(Fault(FaultKind.DOUBLE)).json()["data"]
    assert len(doubled) == 6 and {row["id"] for row in doubled} == {"0", "1", "2", "3"}


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.DROP_AFTER])
def test_a_dropped_connection_says_nothing(kind: FaultKind) -> None:
    """The client sees the line break, not an answer."""
    with pytest.raises(httpx.TransportError):
        answer(Fault(kind))


def test_windows_and_counts_are_kept() -> None:
    """A planned outage begins and ends on time, and what went wrong is on record."""
    clock = FixedClock(START)
    faults = Faults(clock)
    faults.between(
        "/page", Fault(FaultKind.ERROR), START + timedelta(seconds=10), START + timedelta(seconds=20)
    )
    faults.once("/page", Fault(FaultKind.HTML), times=2)
    assert [faults.next("/page") is not None for _ in range(3)] == [True, True, False]
    clock.move(15)
    assert faults.next("/page") == Fault(FaultKind.ERROR)
    clock.move(10)
    assert faults.next("/page") is None
    assert [kind for _, _, kind in faults.log] == [FaultKind.HTML, FaultKind.HTML, FaultKind.ERROR]
