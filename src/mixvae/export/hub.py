"""Runs on the Hugging Face hub, or in a folder as there: weights, figures and a model card."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mixvae.errors import MixvaeError, is_a
from mixvae.recipes import Recipe
from mixvae.run import DATA, LOG, METRICS, RECIPE, TRAINING, WEIGHTS, Run, load
from mixvae.storage.files import whole, write_text

from .card import model_card

CARD = "README.md"
FILES = (RECIPE, WEIGHTS, DATA, METRICS, LOG, TRAINING)  # of a run, without checkpoints


def save_pretrained(
    run: Run, folder: str | Path, *, license: str | None = None, exist_ok: bool = False
) -> Path:
    """Write a run without its checkpoints, and with a model card.

    config.yaml, which may have paths of your machine, is left out.

    Parameters
    ----------
    run
        From :func:`mixvae.load` or :func:`mixvae.fit`.
    folder
        Where to; new or empty.
    license
        The licence that you give the weights, such as "mit"; by default the card has none.
    exist_ok
        Write into a folder that has files, over those of the same names.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    MixvaeError
        For a folder that is not empty, and where a file cannot be written.
    """
    is_a(Run, "mixvae.load reads one from its folder", run=run)
    is_a((str, Path), "a folder's path", folder=folder)
    folder = Path(folder)
    text = model_card(run, license=license)
    try:
        if folder.exists() and any(folder.iterdir()) and not exist_ok:
            raise MixvaeError(
                f"{folder} exists and is not empty; give another folder, or exist_ok=True to "
                "write over it."
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            if (run.folder / name).exists():
                with whole(folder / name) as partial:
                    shutil.copyfile(run.folder / name, partial)
        write_text(folder / CARD, text)
    except OSError as error:
        raise MixvaeError(f"cannot write {folder}: {error.strerror or error}.") from error
    return folder


def push_to_hub(
    run: Run,
    name: str,
    *,
    license: str | None = None,
    exist_ok: bool = False,
    private: bool | None = None,
    token: str | None = None,
) -> str:
    """Upload what :func:`save_pretrained` writes to the Hugging Face hub.

    Parameters
    ----------
    run
        From :func:`mixvae.load` or :func:`mixvae.fit`.
    name
        USER/NAME of the model there.
    license
        The licence that you give the weights; by default the card has none.
    exist_ok
        Write over a model of that name.
    private
        Whether only you see it; by default as your account has it.
    token
        An access token; by default the one of ``hf auth login``.

    Returns
    -------
    str
        The model's address.

    Raises
    ------
    MixvaeError
        Without huggingface_hub, a login or a network, and where the name is taken.
    """
    is_a(Run, "mixvae.load reads one from its folder", run=run)
    is_a(str, "USER/NAME on the hub", name=name)
    _check_installed()
    from huggingface_hub import HfApi

    api = HfApi(token=token, library_name="mixvae")
    with TemporaryDirectory() as temporary, _plainly(name):
        folder = save_pretrained(run, Path(temporary) / "run", license=license)
        if not exist_ok and api.repo_exists(name):
            raise MixvaeError(
                f"the hub has a model {name}; give another name, or exist_ok=True to write over it."
            )
        url = api.create_repo(name, private=private, exist_ok=exist_ok)
        api.upload_folder(
            repo_id=name, folder_path=folder, commit_message=f"{run.recipe.name}, by mixvae"
        )
    return str(url)


def from_pretrained(
    name: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    recipes: Iterable[type[Recipe]] = (),
) -> Run:
    """Load a run from a folder or from the Hugging Face hub.

    Its files are JSON, CSV and safetensors; nothing is unpickled and no code is run. What has been
    downloaded before is found without a network.

    Parameters
    ----------
    name
        A folder of :func:`save_pretrained` or a run folder; or USER/NAME on the hub.
    revision
        A branch, tag or commit on the hub.
    token
        An access token; by default the one of ``hf auth login``.
    cache_dir
        Where to keep downloads; by default the hub's own cache.
    recipes
        As of :func:`mixvae.load`.

    Returns
    -------
    Run
        As of :func:`mixvae.load`.

    Raises
    ------
    MixvaeError
        As :func:`mixvae.load`; without huggingface_hub or a network; for an unknown name.
    """
    is_a((str, Path), "a folder, or USER/NAME on the hub", name=name)
    if Path(name).is_dir():
        return load(name, recipes=recipes)
    word = str(name)
    if isinstance(name, Path) or word.count("/") > 1 or word.startswith((".", "/", "~")):
        raise MixvaeError(f"there is no folder {name}; give one, or USER/NAME on the hub.")
    _check_installed()
    from huggingface_hub import snapshot_download

    with _plainly(word):
        folder = snapshot_download(
            word,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            allow_patterns=[*FILES, CARD],
        )
    return load(folder, recipes=recipes)


def _check_installed() -> None:
    if find_spec("huggingface_hub") is None:
        raise MixvaeError(
            "the hub needs the package huggingface_hub, which is not installed: pip install "
            "'mixvae[hub]'."
        )


@contextmanager
def _plainly(name: str) -> Iterator[None]:
    """Context in which errors of the hub's client become one line with what to do."""
    try:
        yield
    except MixvaeError:
        raise
    except Exception as error:
        raise MixvaeError(f"the hub, {name}: {_reason(error)}") from error


def _reason(error: Any) -> str:
    """What went wrong, and what to do."""
    kind = {base.__name__ for base in type(error).__mro__}
    code = getattr(getattr(error, "response", None), "status_code", None)
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), kind)
    if "LocalTokenNotFoundError" in kind or code == 401:
        return "there is no such model, or you are not logged in: hf auth login, or give a token."
    if code == 403:
        return "your login may not do this; use a token with write access to that account."
    if code == 404 or "RepositoryNotFoundError" in kind:
        return "there is no such model, or it is private; check USER/NAME and your login."
    if code == 409:
        return "the name is taken; give another, or exist_ok=True to write over it."
    if "HFValidationError" in kind:
        return f"that is no name of a model there, which is USER/NAME: {first}"
    offline = {"ConnectError", "ConnectionError", "ConnectTimeout", "OfflineModeIsEnabled"}
    if offline & kind or "LocalEntryNotFoundError" in kind or os.environ.get("HF_HUB_OFFLINE"):
        return "it cannot be reached; save_pretrained(run, folder) writes the same into a folder."
    return f"{type(error).__name__}: {first}"
