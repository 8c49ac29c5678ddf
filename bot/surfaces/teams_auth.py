"""Speak to the Bot Framework's connector with our token: listed addresses only, nothing twice, no redirect.

Beside `teams` this is the only module that knows the SDK. Of the SDK's identity classes nothing is left in use: what
comes in is proven by `teams_proof`, and what goes out takes its token at the moment of sending, so that a click is
answered even while no token is to be had. The SDK's pipeline ends in our own sender, on the event loop: the stock one
runs each call in a thread, repeats PUT and GET unseen, and follows redirects with the token in hand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn, TypeVar

import aiohttp
from botbuilder.schema import Activity, ChannelAccount, ConversationParameters
from botframework.connector.aio import ConnectorClient
from botframework.connector.auth import AuthenticateRequestResult, BotFrameworkAuthentication, ClaimsIdentity
from botframework.connector.auth.connector_factory import ConnectorFactory
from botframework.connector.bot_framework_sdk_client_async import BotFrameworkConnectorConfiguration
from msrest.authentication import Authentication
from msrest.exceptions import ClientException, DeserializationError
from msrest.pipeline import AsyncPipeline, Response
from msrest.pipeline.async_abc import AsyncHTTPSender
from msrest.pipeline.universal import RawDeserializer
from msrest.universal_http.async_abc import AsyncClientResponse

from bot.surfaces import teams_faults
from bot.surfaces.port import Refused, SurfaceError
from bot.surfaces.teams_api import Posted
from bot.surfaces.teams_routes import Route
from bot.surfaces.teams_tokens import TokenCache
from workers import logs

T = TypeVar("T")
TIMEOUT = aiohttp.ClientTimeout(total=15, sock_connect=3)
IDLE_SECONDS = 10.0
"""How long a connection is kept unused: one that the service has closed meanwhile would leave a post in doubt."""
MOST_BYTES = 1024 * 1024
UNREAD = (ClientException, ValueError, KeyError, TypeError, AttributeError)
"""What the SDK raises for an answer that it cannot read."""
NO_ANSWER = (aiohttp.ClientError, TimeoutError, OSError, *UNREAD)
_log = logs.get_logger(__name__)


class _Read(AsyncClientResponse):  # type: ignore[misc] # the SDK is untyped
    """Be an answer whose body is here."""

    def __init__(self, request: Any, answer: aiohttp.ClientResponse, body: bytes) -> None:
        super().__init__(request, answer)
        self.status_code, self.reason = answer.status, answer.reason
        self.headers = {"content-type": "application/json"}  # whatever it says: other bodies are no answer to us
        self._body = body

    def body(self) -> bytes:
        return self._body


class _Sender(AsyncHTTPSender):  # type: ignore[misc] # the SDK is untyped
    """Send once, and raise what went wrong."""

    def __init__(self, http: Callable[[], aiohttp.ClientSession], tokens: TokenCache) -> None:
        self._http, self._tokens = http, tokens

    async def __aexit__(self, *_details: object) -> None:
        """Leave the session open: it is shared."""

    async def send(self, request: Any, **_config: Any) -> Response:
        asked, once = request.http_request, request.http_request.method == "POST"
        call = f"{asked.method} {'/'.join(str(asked.url).split('/v3/')[-1].split('/')[::2])}"
        token = await self._tokens.get()
        headers = {**asked.headers, "Authorization": f"Bearer {token}"}
        try:
            async with self._http().request(
                asked.method, asked.url, data=asked.data, headers=headers, allow_redirects=False
            ) as answer:
                body = await answer.content.read(MOST_BYTES)
                status, wait = answer.status, answer.headers.get("Retry-After")
        except NO_ANSWER as error:
            raise teams_faults.of_exception(call, error, once=once) from None
        if status == 401:
            self._tokens.reject(token)
        if not 200 <= status < 300:
            raise teams_faults.of_answer(call, status, body, wait, once=once)
        return Response(request, _Read(asked, answer, body))


class GuardedConnectors(ConnectorFactory):  # type: ignore[misc] # the SDK is untyped
    """Make one connector client for each service address that is on the list."""

    def __init__(
        self, tokens: TokenCache, serves: Callable[[str], bool], timeout: aiohttp.ClientTimeout = TIMEOUT
    ) -> None:
        """Open nothing yet."""
        self._tokens, self._serves, self._timeout = tokens, serves, timeout
        self._clients: dict[str, ConnectorClient] = {}
        self._session: aiohttp.ClientSession | None = None

    async def create(self, service_url: str, audience: str | None = None) -> ConnectorClient:
        """Return the client for an address. Raises Refused if the token must not go there."""
        del audience
        if not self._serves(service_url):
            raise Refused(
                "the service address of this conversation is not on the list of COUNTERSIGN_TEAMS_SERVICE_HOSTS"
            )
        if service_url not in self._clients:
            unused = Authentication()  # a required argument; the token is our sender's business
            config = BotFrameworkConnectorConfiguration(unused, service_url)
            config.custom_pipeline = AsyncPipeline(
                [config.user_agent_policy, RawDeserializer()], _Sender(self._open, self._tokens)
            )
            self._clients[service_url] = ConnectorClient(unused, service_url, custom_configuration=config)
        return self._clients[service_url]

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            idle = aiohttp.TCPConnector(keepalive_timeout=IDLE_SECONDS)
            self._session = aiohttp.ClientSession(timeout=self._timeout, connector=idle)
        return self._session

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()


class Connector:
    """Be `TeamsApi`, on the SDK's client."""

    def __init__(self, connectors: GuardedConnectors, failed: Callable[[str], None] | None = None) -> None:
        """Speak by these; `failed` hears one word for each call that fails."""
        self._connectors = connectors
        self._failed = failed or (lambda _word: None)

    async def post(self, route: Route, activity: Mapping[str, Any], *, thread: str | None = None) -> Posted:
        """Post a message and return where it is."""
        return await self._guarded("a post", self._post(route, activity, thread), once=True)

    async def update(self, route: Route, conversation: str, message: str, activity: Mapping[str, Any]) -> None:
        """Replace a posted message, for everybody."""
        where = _place(route, conversation, message)
        sent = _message(activity, route, where)
        sent.id = message
        await self._guarded("an update", self._update(route, where, message, sent), once=False)

    async def member(self, route: Route, conversation: str, user_id: str) -> dict[str, Any]:
        """Return one member of a conversation as plain JSON."""
        return await self._guarded("a look at a member", self._member(route, conversation, user_id), once=False)

    async def _post(self, route: Route, activity: Mapping[str, Any], thread: str | None) -> Posted:
        api = (await self._connectors.create(route.service_url)).conversations
        where = route.conversation_id
        if route.kind == "channel" and thread is None:
            told = await api.create_conversation(_opening(route, _message(activity, route, None)))
            return _posted(told.id or route.channel_id, told.activity_id)
        if not where:
            where = (await api.create_conversation(_opening(route, None))).id
            if not where:
                raise DeserializationError("no conversation id")
        if thread is not None:
            where = _place(route, where, thread)
        told = await api.send_to_conversation(where, _message(activity, route, where))
        return _posted(where, told and told.id)

    async def _update(self, route: Route, conversation: str, message: str, sent: Activity) -> None:
        api = (await self._connectors.create(route.service_url)).conversations
        await api.update_activity(conversation, message, sent)

    async def _member(self, route: Route, conversation: str, user_id: str) -> dict[str, Any]:
        api = (await self._connectors.create(route.service_url)).conversations
        told = await api.get_conversation_member(conversation.partition(";")[0], user_id)
        found = {**(told.additional_properties or {}), **told.serialize()}
        found["aadObjectId"] = found.get("aadObjectId") or found.get("objectId")
        return found

    async def _guarded(self, call: str, work: Awaitable[T], *, once: bool) -> T:
        try:
            return await work
        except SurfaceError as error:
            fault = error
        except NO_ANSWER as error:  # an answer, and none that can be read
            fault = teams_faults.unsure(call, type(error).__name__, once=once)
        self._failed(type(fault).__name__)
        _log.warning("teams.call_failed", why=str(fault))
        raise fault from None


class ProvenOutside(BotFrameworkAuthentication):  # type: ignore[misc] # the SDK is untyped
    """Give the SDK's adapter what it needs for a call that `teams_proof` has passed; it proves nothing by itself."""

    def __init__(self, connectors: GuardedConnectors) -> None:
        """Take where its clients come from."""
        self._connectors = connectors

    def passed(self, claims: Mapping[str, Any]) -> AuthenticateRequestResult:
        """Return the SDK's word for a proven call."""
        result = AuthenticateRequestResult()
        result.claims_identity = ClaimsIdentity(dict(claims), is_authenticated=True)
        result.audience = str(claims.get("iss", ""))
        result.caller_id = "urn:botframework:azure"
        result.connector_factory = self._connectors
        return result

    async def authenticate_request(self, activity: Activity, auth_header: str) -> NoReturn:
        """Refuse: no call reaches the SDK unproven."""
        raise PermissionError("proven elsewhere")

    async def authenticate_streaming_request(self, *_asked: object) -> NoReturn:
        """Refuse streaming."""
        raise PermissionError("streaming is off")

    async def authenticate_channel_request(self, *_asked: object) -> NoReturn:
        """Refuse skills."""
        raise PermissionError("skills are off")

    def create_connector_factory(self, claims_identity: ClaimsIdentity) -> ConnectorFactory:
        """Return where clients come from."""
        return self._connectors

    async def create_user_token_client(self, claims_identity: ClaimsIdentity) -> None:
        """Return none: nobody signs in through the bot."""
        return

    def get_originating_audience(self) -> str:
        """Return whom tokens are for; ours are fetched elsewhere."""
        return ""


def _message(activity: Mapping[str, Any], route: Route, conversation: str | None) -> Activity:
    """Return a plain activity as the SDK's, from us."""
    place = {"conversation": {"id": conversation}} if conversation else {}
    sender = {"from": {"id": route.bot_id}, "channelId": "msteams"}
    message: Activity = Activity().deserialize({**activity, **sender, **place})
    return message


def _opening(route: Route, activity: Activity | None) -> ConversationParameters:
    """Return what begins a thread in a channel, or a chat with one person."""
    tenant = {"tenant": {"id": route.tenant_id}}
    beside = {"channel": {"id": route.channel_id}} if route.kind == "channel" else {}
    members = [] if route.kind == "channel" else [ChannelAccount(id=route.user_id)]
    return ConversationParameters(
        is_group=route.kind == "channel",
        bot=ChannelAccount(id=route.bot_id),
        members=members or None,
        channel_data={**beside, **tenant},
        activity=activity,
    )


def _place(route: Route, conversation: str, message: str) -> str:
    """Return the conversation as the service names a channel's thread."""
    return (
        f"{conversation};messageid={message}" if route.kind == "channel" and ";" not in conversation else conversation
    )


def _posted(conversation: str | None, message: str | None) -> Posted:
    if not (conversation and message):
        raise DeserializationError("no message id")
    return Posted(conversation.partition(";")[0], message)
