"""The page's server: files and JSON on this machine, one request at a time."""

import asyncio
import errno
import json
import os
import re
import socket
import sys
import traceback
import webbrowser
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixvae.errors import MixvaeError, whole

from .examples import OtherShapeError
from .explorer import Explorer

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

MAX_JSON = 2**20  # bytes of a request
MAX_FILE = 20 * 2**20  # bytes of an upload
FILES = {
    "/": ("index.html", "text/html"),
    "/script.js": ("script.js", "text/javascript"),
    "/style.css": ("style.css", "text/css"),
}
QUESTIONS = (
    *("about", "decode", "interpolate", "cross", "sample"),
    *("log_likelihood", "thumbnails", "row"),
)
UPLOADS = ("image", "csv")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Answer = Callable[["Request"], Awaitable["Response"]]


def check_installed() -> None:
    """Raise `MixvaeError` unless the packages of the extra ``app`` are installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MixvaeError(
            f"the page needs starlette and uvicorn ({error}): pip install 'mixvae[app]'"
        ) from error


def application(explorer: Explorer, *, loopback: bool = True) -> "Starlette":
    """The web application of a page.

    Parameters
    ----------
    explorer
        What answers the page. One thread calls it.
    loopback
        Whether only this machine can reach the page. Requests whose Host header is another name
        are then refused, so that no web site can reach the page by a name that it makes point here
        (DNS rebinding).

    Returns
    -------
    starlette.applications.Starlette
        An ASGI application.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    pool = ThreadPoolExecutor(1)
    checked = partial(_checked, loopback=loopback)
    routes = [Route(path, checked(partial(_file, path))) for path in FILES]
    for name in QUESTIONS:
        answer = checked(partial(_question, getattr(explorer, name), pool))
        routes.append(Route(f"/api/{name}", answer, methods=["POST"]))
    for name in UPLOADS:
        answer = checked(partial(_upload, getattr(explorer, name), pool))
        routes.append(Route(f"/api/{name}", answer, methods=["POST"]))
    return Starlette(routes=routes)


def serve(
    explorer: Explorer, host: str = "127.0.0.1", port: int = 8765, *, browser: bool = True
) -> None:
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    explorer
        What answers the page.
    host
        Address to listen on. Another than 127.0.0.1 lets other machines use the page.
    port
        Port to listen on; 0 is any that is free.
    browser
        Open the page in the browser.

    Raises
    ------
    MixvaeError
        Without the extra ``app``, and for an address that cannot be listened on.
    """
    check_installed()
    import uvicorn

    with listen(host, port) as opened:
        loopback = is_loopback(opened.getsockname()[0])
        url = f"http://{f'[{host}]' if ':' in host else host}:{opened.getsockname()[1]}/"
        app = application(explorer, loopback=loopback)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=1
        )
        if not loopback:
            print("Other machines can use the page: it has no password.", file=sys.stderr)
        print(f"{url} shows {explorer.run.folder}. End with Ctrl-C.", file=sys.stderr, flush=True)
        if browser and not open_browser(url):
            print("No browser could be opened: open the address yourself.", file=sys.stderr)
        try:
            uvicorn.Server(config).run(sockets=[opened])
        except KeyboardInterrupt:
            print("\nThe page is closed.", file=sys.stderr)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; raises `MixvaeError` where it cannot.

    Parameters
    ----------
    host, port
        As of :func:`serve`.
    """
    whole(0, 65535, port=port)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        opened = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise MixvaeError(
            f"{host} is no address of this machine ({error}); give another --host, such as "
            "127.0.0.1."
        ) from error
    try:
        if os.name == "posix":
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen()
    except OSError as error:
        opened.close()
        raise MixvaeError(_refusal(host, port, error)) from error
    return opened


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach an address.

    Parameters
    ----------
    address
        An IP address.
    """
    return ip_address(address.partition("%")[0]).is_loopback


def open_browser(url: str) -> bool:
    """Open an address in a browser with windows, if there is one; whether it was.

    Parameters
    ----------
    url
        The address.
    """
    displays = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if os.name == "posix" and sys.platform != "darwin" and not displays:
        return False  # a browser of the terminal would take it over
    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use; give another, such as --port {port % 65535 + 1}, "
            "or --port 0 for any that is free."
        )
    if error.errno == errno.EACCES:
        return f"port {port} is reserved for administrators; give one above 1023, such as 8765."
    return f"cannot listen on {host}, port {port} ({error.strerror or error})."


def _checked(answer: Answer, *, loopback: bool) -> Answer:
    """An answer to requests by the page itself alone, with headers that keep others out."""

    async def checked(request: "Request") -> "Response":
        host = request.headers.get("host", "")
        origin = request.headers.get("origin")
        if loopback and not _is_this_machine(host):
            response = _error(f"the host {host[:80]!r} is not this page's; use 127.0.0.1.", 403)
        elif origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            response = _error("requests by other web sites are not answered.", 403)
        else:
            response = await answer(request)
        response.headers.update(HEADERS)
        return response

    return checked


def _is_this_machine(host: str) -> bool:
    """Whether a Host header names this machine as no other web site can."""
    name = re.sub(r":\d*$", "", host).strip("[]")
    try:
        return name == "localhost" or is_loopback(name)
    except ValueError:  # no address
        return False


async def _file(path: str, request: "Request") -> "Response":
    """A file of the page."""
    from starlette.responses import Response

    name, kind = FILES[path]
    return Response((Path(__file__).parent / name).read_bytes(), media_type=kind)


async def _question(
    answer: Callable[[Any], Any], pool: ThreadPoolExecutor, request: "Request"
) -> "Response":
    """Answer a question in JSON."""
    try:
        asked = json.loads(await _body(request, MAX_JSON) or b"{}")
    except MixvaeError as error:
        return _error(str(error), 413)
    except (ValueError, RecursionError):
        return _error("the request is not JSON.", 400)
    if not isinstance(asked, dict):
        return _error("the request must be a JSON object.", 400)
    return await _in_turn(pool, partial(answer, asked))


async def _upload(
    answer: Callable[[bytes, Any], Any], pool: ThreadPoolExecutor, request: "Request"
) -> "Response":
    """Take a file, which stays in memory."""
    try:
        content = await _body(request, MAX_FILE)
    except MixvaeError as error:
        return _error(str(error), 413)
    return await _in_turn(pool, partial(answer, content, dict(request.query_params)))


async def _in_turn(pool: ThreadPoolExecutor, ask: Callable[[], Any]) -> "Response":
    """The answer, in JSON, when earlier requests have theirs; an error is one line."""
    from starlette.responses import Response

    try:
        found = await asyncio.get_running_loop().run_in_executor(pool, ask)
        content = json.dumps(found, allow_nan=False)
    except OtherShapeError as error:
        return _error(str(error), 422, can_convert=True)
    except MixvaeError as error:
        return _error(str(error), 422)
    except Exception as error:  # a fault of ours: the terminal shows where
        traceback.print_exc()
        return _error(f"{type(error).__name__}: {error}"[:300], 500)
    return Response(content, media_type="application/json")


async def _body(request: "Request", limit: int) -> bytes:
    """What was sent; raises `MixvaeError` above the limit, before it is all read."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > limit:
            raise MixvaeError(f"at most {limit // 2**20} MiB are read; give a smaller file.")
    return bytes(content)


def _error(message: str, status: int, **more: Any) -> "Response":
    from starlette.responses import JSONResponse

    return JSONResponse({"error": " ".join(message.split()), **more}, status)
