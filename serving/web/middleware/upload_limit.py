"""Limit on the length of a request's body, which stays in memory."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MOST_BYTES_WITHOUT_FILES = 4_000_000
MultiPartParser.spool_max_size = 0  # files of forms stay in memory: the temporary folder would hold photos in clear


class UploadLimit:
    """Middleware that answers 413 to a request whose body is longer than `app.state.max_upload_bytes`.

    A body that is no form with files may have 4 MB: a list of empty objects takes thirty times its length in memory.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most, got = scope["app"].state.max_upload_bytes, 0
        if not Headers(scope=scope).get("content-type", "").lower().startswith("multipart/"):
            most = min(most, _MOST_BYTES_WITHOUT_FILES)

        async def receive_limited() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > most:
                raise HTTPException(413, f"the request must have at most {most} bytes, photos included, got more")
            return message

        await self._app(scope, receive_limited, send)
