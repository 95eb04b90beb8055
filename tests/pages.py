"""A page's server in a thread, for tests that ask it over HTTP or drive it in a browser."""

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import torch
import uvicorn

import mixvae
from mixvae import data
from mixvae.app import Explorer, application
from mixvae.app.server import listen
from mixvae.run import Run

CHROMIUM = Path("/usr/bin/chromium")


def explorer_of(dataset: data.Dataset, recipe: str, **options: Any) -> Explorer:
    """What answers the page of an untrained model."""
    torch.manual_seed(0)
    built = mixvae.build(recipe, dataset, **options)
    built.model.eval()
    return Explorer(Run(Path("runs/tried"), built), dataset)


@contextmanager
def serving(explorer: Explorer) -> Iterator[str]:
    """The address of a page that is served while the context lasts."""
    with listen("127.0.0.1", 0) as opened:
        server = uvicorn.Server(uvicorn.Config(application(explorer), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{opened.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


def post(url: str, content: Any = None, **headers: str) -> tuple[int, Any]:
    """The status and the JSON of an answer; content is bytes, or JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content or {}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "text/plain"} | headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
