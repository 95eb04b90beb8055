"""``mixvae explore``: a trained run in the browser."""

from dataclasses import dataclass

from mixvae.app.explorer import Explorer
from mixvae.app.server import check_installed, serve

from .parser import taken
from .runs import open_run, parser_of


@dataclass(frozen=True, kw_only=True)
class ExploreOptions:
    """Where the page is."""

    host: str = "127.0.0.1"
    """Address to listen on. 127.0.0.1 is this machine alone; 0.0.0.0 lets others use the page,
    which has no password."""
    port: int = 8765
    """Port to listen on; 0 is any that is free."""
    no_browser: bool = False
    """Do not open the page in the browser."""


def explore(argv: list[str]) -> None:
    """Explore a run on a page in the browser, on this machine alone.

    Pick an example of the data or upload one; see each component's reconstruction and
    responsibility; move its latents, change mixing weights, exchange codes between components,
    interpolate, and sample. It needs the extra app: pip install 'mixvae[app]'. Ctrl-C ends it.

      mixvae explore runs/mixture-vae-digits-001
      mixvae explore runs/mixture-vae-digits-001 --port 9000 --no-browser
    """
    parser = parser_of(explore)
    parser.add_options("page", ExploreOptions)
    run, source, values = open_run(parser, argv)
    assert source is not None
    check_installed()
    options = taken(ExploreOptions, values)
    serve(Explorer(run, source.data), options.host, options.port, browser=not options.no_browser)
