"""The Starlette application: which request gets which answer.

Owns the routes and the order of checks (faults, token, role, limits, query, rows). Never opens a socket.
"""

from __future__ import annotations

import asyncio
import threading
import traceback
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route

from simulator import answers, odata, query, times
from simulator.answers import CONTEXT, ENTITY_SETS, Answer, Page, Wire
from simulator.effects import Call, Effect
from simulator.faults import Faults, RequestLog
from simulator.issuer import Issuer
from simulator.limits import Throttle
from simulator.machine_identity import MachineIdentity
from simulator.oauth import OAuthError
from simulator.rows import AnyWorld, Snapshot
from simulator.tenants import ROLES_WANTED, SCOPES_WANTED, Tenant
from simulator.tokens import BadTokenError, Holder, TokenOffice

Handler = Callable[[Request, Call, list[Effect]], Awaitable[Answer]]


@dataclass
class Service:
    """What the handlers share; `now` is the server's clock, `lookup_lag_seconds` see `Simulator`."""

    world: AnyWorld
    tenants: Mapping[str, Tenant]
    tokens: TokenOffice
    throttle: Throttle
    faults: Faults
    requests: RequestLog
    now: Callable[[], datetime]
    closing: threading.Event
    issuer: Issuer
    machine: MachineIdentity
    lookup_lag_seconds: int = 0

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route(
                    "/{tenant}/v2.0/.well-known/openid-configuration",
                    self._served("discovery", self._discover),
                ),
                Route("/{tenant}/oauth2/v2.0/token", self._served("token", self._token), methods=["POST"]),
                Route(
                    "/{tenant}/oauth2/v2.0/devicecode",
                    self._served("devicecode", self._device_code),
                    methods=["POST"],
                ),
                Route("/metadata/identity/oauth2/token", self._served("identity", self._imds)),
                Route("/msi/token", self._served("identity", self._app_service)),
                Route("/job/idtoken", self._served("idtoken", self._job_token)),
                Route("/api/{resource}", self._served("", self._list)),
                Route("/api/{resource}/{id}", self._served("", self._one)),
                Route("/{path:path}", self._served("other", self._nothing), methods=["GET", "POST"]),
            ]
        )

    def _served(self, endpoint: str, handler: Handler) -> Callable[[Request], Awaitable[Wire]]:
        """Wraps a handler: the call is logged, and the effects that are due have their turns."""

        async def serve(request: Request) -> Wire:
            call = self._call(request, endpoint)
            effects = self.faults.due(call)
            try:
                answer = await self._answer(request, call, effects, handler)
            except ClientDisconnect:
                # A client that was killed while it asked.
                call.status = None
                raise
            except Exception:
                call.status, call.failure = 500, traceback.format_exc()
                raise
            call.status, call.rows = answer.status or None, answer.rows
            return Wire(answer, format_datetime(self.now(), usegmt=True), self.closing)

        return serve

    async def _answer(self, request: Request, call: Call, effects: list[Effect], handler: Handler) -> Answer:
        for effect in effects:
            if effect.wait is not None:
                await effect.wait.wait(self.closing)
            if type(effect).before is not Effect.before:
                await asyncio.to_thread(effect.before)
            if effect.revokes_tokens:
                self.tokens.revoke_all()
        for effect in effects:
            answer = effect.instead(call, self.now())
            if answer is not None:
                return answer
        answer = await handler(request, call, effects)
        for effect in effects:
            answer = effect.after(answer)
        return answer

    def _call(self, request: Request, endpoint: str) -> Call:
        path = request.path_params
        call = Call(
            method=request.method,
            path=request.url.path,
            endpoint=endpoint or path["resource"].lower(),
            params=dict(request.query_params),
            at=self.now(),
            record_id=path.get("id"),
            authorized="authorization" in request.headers,
            tenant_id=path.get("tenant") or self._tenant_of(request),
        )
        self.requests.append(call)
        return call

    def _tenant_of(self, request: Request) -> str | None:
        """Whose good token the request bears, if any: faults may ask for it."""
        try:
            return self.tokens.check(request.headers.get("authorization")).tenant.tenant_id
        except BadTokenError:
            return None

    async def _discover(self, request: Request, call: Call, effects: list[Effect]) -> Answer:  # noqa: ARG002
        return self._granted(
            lambda: self.tokens.discovery(request.path_params["tenant"], _login_url(request))
        )

    async def _token(self, request: Request, call: Call, effects: list[Effect]) -> Answer:  # noqa: ARG002
        form = await _form(request)
        tenant = request.path_params["tenant"]
        return self._granted(lambda: self.tokens.token(tenant, form, _login_url(request)))

    async def _device_code(self, request: Request, call: Call, effects: list[Effect]) -> Answer:  # noqa: ARG002
        form = await _form(request)
        tenant = request.path_params["tenant"]
        return self._granted(lambda: self.tokens.request_device_code(tenant, form, _login_url(request)))

    def _granted(self, grant: Callable[[], dict[str, Any]]) -> Answer:
        try:
            return answers.from_json(grant())
        except OAuthError as refusal:
            return answers.from_json(refusal.body(self.now()), refusal.status)

    async def _imds(self, request: Request, call: Call, effects: list[Effect]) -> Answer:  # noqa: ARG002
        return answers.from_json(*self.machine.imds(request.headers, request.query_params))

    async def _app_service(self, request: Request, call: Call, effects: list[Effect]) -> Answer:  # noqa: ARG002
        return answers.from_json(*self.machine.app_service(request.headers, request.query_params))

    async def _job_token(self, request: Request, call: Call, effects: list[Effect]) -> Answer:  # noqa: ARG002
        audience = request.query_params.get("audience", "")
        return answers.from_json(*self.issuer.job_token(request.headers.get("authorization"), audience))

    async def _nothing(self, request: Request, call: Call, effects: list[Effect]) -> Answer:  # noqa: ARG002
        return answers.error(404, f"No HTTP resource was found that matches the request URI '{call.path}'.")

    async def _list(self, request: Request, call: Call, effects: list[Effect]) -> Answer:
        admitted = self._admit(request, call)
        if isinstance(admitted, Answer):
            return admitted
        try:
            wanted = query.parse(request.query_params.multi_items())
            for effect in effects:
                wanted = effect.query(wanted)
            rows = admitted.rows if wanted.filter is None else odata.select(admitted, wanted.filter)
        except odata.InvalidQueryError as refusal:
            return answers.query_error(str(refusal))
        for effect in effects:
            rows = effect.order(rows)
        end = wanted.skip + (query.MAX_TOP if wanted.top is None else wanted.top)
        page = Page(call.endpoint, [row.raw for row in rows[wanted.skip : end]])
        if wanted.top is None and end < len(rows):
            page = Page(page.resource, page.rows, {"@odata.nextLink": _next_link(call.endpoint, end)})
        for effect in effects:
            page = effect.page(page)
        return page.answer()

    async def _one(self, request: Request, call: Call, effects: list[Effect]) -> Answer:  # noqa: ARG002
        admitted = self._admit(request, call)
        if isinstance(admitted, Answer):
            return admitted
        id = request.path_params["id"]
        found = admitted.with_id(id)
        if not found and admitted.resource == "investigations":
            found = [row for row in admitted.rows if row.value("triggeringAlertId") == id]
        lag = zlib.crc32(id.encode()) % (self.lookup_lag_seconds + 1) * times.SECOND
        age = times.to_ticks(self.now()) - (found[0].when or 0) if found else 0
        if not found or (lag and age < lag):
            return answers.error(404, f"{ENTITY_SETS[call.endpoint]} {id} was not found.", "ResourceNotFound")
        return answers.entity(admitted.resource, found[0].raw)

    def _admit(self, request: Request, call: Call) -> Snapshot | Answer:
        """The tenant's rows as of now, or the refusal: 404, 401, 403 or 429, in this order."""
        if call.endpoint not in ENTITY_SETS:
            return answers.error(
                404, f"No HTTP resource was found that matches the request URI '{call.path}'."
            )
        try:
            holder = self.tokens.check(request.headers.get("authorization"))
        except BadTokenError as refusal:
            return answers.error(401, str(refusal), headers={"WWW-Authenticate": "Bearer"})
        tenant = holder.tenant
        refused = _role_refusal(holder, call.endpoint)
        if refused is not None:
            return refused
        now = self.now()
        wait = self.throttle.admit((tenant.tenant_id, holder.client_id, call.endpoint), times.to_ticks(now))
        if wait is not None:
            text = "API calls quota exceeded! Maximum allowed is 100 per minute and 1500 per hour."
            return answers.error(429, text, headers={"Retry-After": str(wait)})
        return (tenant.world or self.world).snapshot(call.endpoint, now)


def _role_refusal(holder: Holder, resource: str) -> Answer | None:
    kind, wanted, held = "application roles", ROLES_WANTED[resource], holder.roles
    if holder.scopes:
        kind, wanted, held = "delegated permissions", SCOPES_WANTED[resource], holder.scopes
    if set(wanted) & set(held):
        return None
    text = f"Missing {kind}. API required roles: {','.join(wanted)}, {kind}: {','.join(held)}."
    return answers.error(403, text)


def _login_url(request: Request) -> str:
    """The sign-in address by the name that the client knows it by."""
    return f"https://{request.headers['host']}"


async def _form(request: Request) -> dict[str, str]:
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


def _next_link(resource: str, skip: int) -> str:
    return f"{CONTEXT.removesuffix('$metadata#')}{resource}?$skip={skip}"
