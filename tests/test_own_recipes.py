"""Recipes of the user's own: registered, trained, saved, loaded, refused."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Distribution, Independent, Laplace

import mixvae
from cases import IMAGE, Case
from mixvae.cli import main
from mixvae.errors import MixvaeError
from mixvae.objectives import Objective, elbo, iwae
from mixvae.recipes import RECIPES, VAE, BuiltRecipe, Recipe, build, list_recipes, options_of

pytestmark = pytest.mark.usefixtures("own_recipes", "unchecked")

LAPLACE = '''
from dataclasses import dataclass

import mixvae
import torch
from torch import nn
from torch.distributions import Independent, Laplace

from scales import USUAL  # of a file beside this one


class LaplacePrior(nn.Module):
    def __init__(self, n_latent, scale):
        super().__init__()
        self.register_buffer("loc", torch.zeros(n_latent))
        self.scale = scale

    def forward(self, encode):
        return Independent(Laplace(self.loc, self.scale, validate_args=False), 1, False)


@mixvae.register("laplace-vae")
@dataclass(frozen=True, kw_only=True)
class LaplaceVAE(mixvae.recipes.VAE):
    """A VAE whose prior is Laplace."""

    scale: float = USUAL
    """Scale of the prior."""

    def make_prior(self, x_shape):
        return LaplacePrior(self.n_latent, self.scale)
'''
SMALL = ["--data", "digits", "--subset", "200", "--hidden", "16", "--n-latent", "3"]
QUIET = ["--progress", "false", "--pictures", "false"]


class LaplacePrior(nn.Module):
    def __init__(self, n_latent: int, scale: float) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(n_latent))
        self.scale = scale

    def forward(self, encode: Any) -> Distribution:
        return Independent(Laplace(self.loc, self.scale, validate_args=False), 1, False)


def laplace(name: str = "laplace-vae") -> type[VAE]:
    """A recipe that a test has registered."""

    @mixvae.register(name)
    @dataclass(frozen=True, kw_only=True)
    class LaplaceVAE(VAE):
        """A VAE whose prior is Laplace."""

        scale: float = 1.0
        """Scale of the prior."""

        def make_prior(self, x_shape: tuple[int, ...]) -> nn.Module:
            return LaplacePrior(self.n_latent, self.scale)

    return LaplaceVAE


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A user's file with a recipe, and a file beside it that it imports."""
    path = tmp_path_factory.mktemp("user") / "my_file.py"
    path.write_text(LAPLACE)
    path.with_name("scales.py").write_text("USUAL = 0.5\n")
    return path


@pytest.fixture(scope="module")
def folder(file):
    """A run of that recipe, from the command line."""
    from mixvae.recipes import registry

    out, before = file.parent / "run", dict(registry._registered)
    argv = ["train", f"{file}:LaplaceVAE", *SMALL, *QUIET, "--max-epochs", "1", "--out", str(out)]
    assert main(argv) == 0
    registry._registered.clear()
    registry._registered.update(before)
    return out


def refused(capsys, *argv):
    """The one line with which the command line refuses."""
    assert main([str(word) for word in argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mixvae: error: ")
    assert err.count("\n") == 1
    return err


# On the command line


def test_its_options_are_in_the_help_its_own_and_those_it_inherits(capsys, file):
    for argv in (["train", f"{file}:LaplaceVAE", "--help"], ["recipes", str(file)]):
        assert main(argv) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert "A VAE whose prior is Laplace" in text
        assert "--scale float Scale of the prior. (default: 0.5)" in text
        assert "--n-latent int Size L of the code. (default: 40)" in text


def test_a_run_keeps_the_name_and_every_option_and_its_config_names_the_file(folder, file):
    said = json.loads((folder / "recipe.json").read_text())
    assert said["recipe"] == "laplace-vae"
    assert said["options"] == {
        "n_latent": 3,
        "network": "mlp",
        "hidden": [16],
        "channels": [32, 64, 128, 256, 256],
        "norm": "group",
        "likelihood": "binomial",  # as the data decided
        "n_trials": 16,
        "n_transforms": 4,
        "flow_hidden": [64, 64],
        "prior": "normal",
        "posterior": "normal",
        "n_planar": 80,
        "truncation": 100,
        "n_exemplars": None,
        "scale": 0.5,
    }
    assert f"recipe: {file}:LaplaceVAE\n" in (folder / "config.yaml").read_text()


def test_a_config_of_such_a_run_trains_again(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # from any folder
    config, out = str(folder / "config.yaml"), str(tmp_path / "again")
    assert main(["train", "--config", config, "--scale", "2", *QUIET, "--out", out]) == 0
    assert mixvae.load(out).recipe.options["scale"] == 2.0


@pytest.mark.parametrize("command", ["evaluate", "sample", "reconstruct", "encode", "cross"])
def test_every_command_that_reads_a_run_is_told_of_its_recipe(capsys, folder, file, command):
    line = refused(capsys, command, folder)
    assert "'laplace-vae', which is not known here" in line
    assert "--recipes FILE:CLASS" in line
    assert f"trained with {file}:LaplaceVAE" in line
    assert main([command, str(folder), "--recipes", f"{file}:LaplaceVAE"]) == 0
    capsys.readouterr()
    assert "laplace" not in refused(capsys, command, folder, "--recipes", "no_file.py:A")


def test_it_is_resumed_as_if_it_had_not_stopped(folder, file, tmp_path, capsys, own_recipes):
    short, long = tmp_path / "short", tmp_path / "long"
    argv = ["train", f"{file}:LaplaceVAE", *SMALL, *QUIET]
    assert main([*argv, "--max-epochs", "1", "--out", str(short)]) == 0
    assert main([*argv, "--max-epochs", "2", "--out", str(long)]) == 0
    own_recipes()  # as in a new process
    more = ["--recipes", str(file), "--max-epochs", "2", *QUIET]
    assert main(["train", "--resume", str(short), *more]) == 0
    capsys.readouterr()
    states = [mixvae.load(run).recipe.model.state_dict() for run in (short, long)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[1])


def test_a_mixture_of_ones_own_is_pruned_and_its_config_still_names_the_file(tmp_path, own_recipes):
    path, run = tmp_path / "mine.py", str(tmp_path / "run")
    path.write_text(
        LAPLACE.replace("recipes.VAE", "recipes.MVAE").replace("laplace-vae", "laplace-mvae")
    )
    (tmp_path / "scales.py").write_text("USUAL = 0.5\n")
    argv = ["--data", "digits", "--subset", "200", "--hidden", "8", "--n-components", "3"]
    argv += ["--n-latent", "3", *QUIET, "--max-epochs", "1", "--out", run]
    assert main(["train", str(path), *argv]) == 0
    own_recipes()
    named = ["--recipes", str(path), "--pictures", "false"]
    assert main(["select", run, "--keep", "0", "2", *named]) == 0
    small = mixvae.load(tmp_path / "run" / "pruned")
    assert small.recipe.name == "laplace-mvae"
    assert (small.recipe.n_components, small.recipe.model.prior.scale) == (2, 0.5)
    config = (small.folder / "config.yaml").read_text()
    assert f"recipe: {path}:LaplaceVAE\n" in config
    assert "n_components: 2\n" in config


def test_training_knows_the_names_of_the_recipes_of_named_files(file, tmp_path, capsys):
    argv = ["train", "laplace-vae", *SMALL, *QUIET, "--max-epochs", "1"]
    assert "unknown recipe 'laplace-vae'" in refused(capsys, *argv)
    out = tmp_path / "run"
    assert main([*argv, "--recipes", str(file), "--scale", "2", "--out", str(out)]) == 0
    assert mixvae.load(out).recipe.options["scale"] == 2.0
    assert f"recipe: {file}:LaplaceVAE\n" in (out / "config.yaml").read_text()


def test_several_recipes_can_be_named(capsys, folder, file, tmp_path):
    other = tmp_path / "other.py"
    other.write_text(LAPLACE.replace("laplace-vae", "other").replace("from scales", "#"))
    other.write_text(other.read_text().replace("USUAL", "1.0"))
    for spelled in (["--recipes", other, "--recipes", file], ["--recipes", other, file]):
        assert main(["evaluate", str(folder), *map(str, spelled)]) == 0


def test_recipes_that_a_file_imports_are_none_of_its_own(capsys, tmp_path):
    path = tmp_path / "my_importing.py"
    (tmp_path / "scales.py").write_text("USUAL = 0.5\n")
    path.write_text("from mixvae.recipes import MVAE, VAE\n" + LAPLACE)
    assert main(["recipes", str(path)]) == 0
    assert "scale" in capsys.readouterr().out


def test_the_example_of_the_documentation_trains(capsys, tmp_path):
    page = Path(__file__).parents[1] / "docs" / "own_recipes.md"
    (tmp_path / "my_file.py").write_text(page.read_text().split("```")[1].removeprefix("python"))
    argv = ["train", f"{tmp_path}/my_file.py:LaplaceVAE", *SMALL, *QUIET, "--max-epochs", "1"]
    assert main([*argv, "--scale", "0.5", "--out", str(tmp_path / "run")]) == 0
    assert "ELBO" in capsys.readouterr().out


# In a fresh process


def test_a_fresh_process_loads_the_run_after_an_import_or_by_its_class_and_never_by_itself(
    folder, file
):
    code = f"""
import sys
import mixvae
try:
    mixvae.load({str(folder)!r})
except mixvae.MixvaeError as error:
    assert "recipes=[...]" in str(error), error
else:
    raise SystemExit("loaded what was not imported")
assert "my_file" not in sys.modules
sys.path.insert(0, {str(file.parent)!r})
from my_file import LaplaceVAE
mixvae.recipes.registry._registered.pop("laplace-vae")
by_class = mixvae.load({str(folder)!r}, recipes=[LaplaceVAE])
mixvae.register("laplace-vae")(LaplaceVAE)
by_import = mixvae.load({str(folder)!r})
for run in (by_class, by_import):
    assert type(run.recipe.recipe) is LaplaceVAE
    assert type(run.recipe.model.prior).__name__ == "LaplacePrior"
    assert run.recipe.model.prior.scale == 0.5
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_mixvae_costs_no_torch_and_every_public_package_is_there():
    code = """
import sys
import mixvae
assert "torch" not in sys.modules
for name in mixvae._MODULES:
    getattr(mixvae, name)
assert mixvae.Recipe is mixvae.recipes.Recipe
from mixvae.parts import VampPrior, NormalPosterior, Decoder
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# From Python


def test_a_run_is_resumed_by_the_class_of_its_recipe(tmp_path, own_recipes):
    kind, data = laplace(), mixvae.data.load("digits").subset(64)
    how = {"progress": False, "pictures": False, "accelerator": "cpu"}
    mixvae.register("laplace-vae")(kind)
    options = {"max_epochs": 1, "batch_size": 32, "out": tmp_path / "run"}
    folder = mixvae.fit(kind(n_latent=2, hidden=(4,)), data, **options, **how).folder
    own_recipes()  # as in a new process
    with pytest.raises(MixvaeError, match=r"recipes=\[...\]"):
        mixvae.resume(folder, data, max_epochs=2, **how)
    run = mixvae.resume(folder, data, max_epochs=2, recipes=[kind], **how)
    assert [row["epoch"] for row in run.history] == [0, 1, 2]
    assert type(run.recipe.recipe) is kind


def test_build_and_fit_take_a_name_a_class_or_an_instance(tmp_path):
    kind = laplace()
    by_name = build("laplace-vae", IMAGE, scale=3.0)
    by_class = build(kind, IMAGE, scale=3.0)
    by_instance = build(kind(scale=3.0), IMAGE)
    changed = build(kind(n_latent=7), IMAGE, n_latent=40, scale=3)
    assert by_name.recipe == by_class.recipe == by_instance.recipe == changed.recipe
    assert by_name.model.prior.scale == 3.0
    data = mixvae.data.load("digits").subset(130)
    quick = {"max_epochs": 1, "progress": False, "pictures": False}
    run = mixvae.fit(kind(hidden=(8,), scale=3.0), data, out=tmp_path / "run", **quick)
    assert mixvae.load(run.folder).recipe.recipe == run.recipe.recipe


@pytest.mark.filterwarnings("ignore:.*dead:mixvae.MixvaeWarning")
def test_an_estimator_takes_a_class_or_an_instance():
    kind = laplace()
    X = torch.rand(40, 1, 4, 4).numpy()
    options = {"max_epochs": 1, "recipe_options": {"hidden": (8,), "n_latent": 2}}
    one = mixvae.DeepMixture(recipe=kind, random_state=0, **options).fit(X)
    other = mixvae.DeepMixture(recipe=kind(scale=1.0), random_state=0, **options).fit(X)
    np.testing.assert_array_equal(one.transform(X), other.transform(X))
    assert isinstance(one.model_.prior, LaplacePrior)


HOOKS = (
    *("likelihood", "encoder", "posterior", "weights", "decoder", "prior", "family", "objective"),
)


@pytest.mark.parametrize("name", RECIPES)
def test_a_subclass_replaces_any_part_of_any_recipe_by_one_method(name):
    """What the method returns is in the model, and nothing else is made in its place."""
    kind, made = RECIPES[name], []

    def method(hook: str) -> Any:
        def make(self: Recipe, *shapes: Any) -> Any:
            made.append((hook, getattr(kind, hook)(self, *shapes)))
            return made[-1][1]

        return make

    hooks = [f"make_{hook}" for hook in HOOKS]
    own = mixvae.register("own")(type("Own", (kind,), {hook: method(hook) for hook in hooks}))
    recipe = build(own(**Case(name).build().options), IMAGE)
    parts = dict(made)
    assert sorted(hook for hook, _ in made) == sorted(hooks)  # each once
    assert recipe.model.family is parts.pop("make_family")
    assert recipe.objective.penalties == parts.pop("make_objective").penalties
    inside = list(recipe.model.modules())
    assert all(any(part is module for module in inside) for part in parts.values())


def test_a_recipe_from_scratch_says_what_it_lacks():
    @mixvae.register("bare")
    @dataclass(frozen=True, kw_only=True)
    class Bare(Recipe):
        """Nothing yet."""

    with pytest.raises(MixvaeError, match=r"Bare has no make_likelihood: define it, or begin with"):
        build(Bare, IMAGE)


# The registry


def test_the_same_class_registered_again_takes_the_place_of_the_first():
    first, second = laplace(), laplace()
    assert first is not second
    assert RECIPES["laplace-vae"] is second
    assert list_recipes()["laplace-vae"] == "A VAE whose prior is Laplace."


def test_a_run_is_loaded_by_the_class_that_is_given_before_the_registered_one(tmp_path):
    first = laplace()
    data = mixvae.data.load("digits").subset(64)
    how = {"progress": False, "pictures": False, "accelerator": "cpu"} | {
        "max_epochs": 1,
        "batch_size": 32,
    }
    folder = mixvae.fit(first(n_latent=2, hidden=(4,)), data, out=tmp_path / "run", **how).folder
    second = laplace()
    assert type(mixvae.load(folder).recipe.recipe) is second
    assert type(mixvae.load(folder, recipes=[first]).recipe.recipe) is first


def test_a_taken_name_is_refused_and_its_owner_named():
    with pytest.raises(MixvaeError, match=r"'vae' is taken by VAE of .*vae\.py; register .*Lap"):
        laplace("vae")
    assert RECIPES["vae"] is VAE


@pytest.mark.parametrize("name", ["", "Laplace", "my vae", "a_b", "-", 3])
def test_a_name_is_of_lower_case_words_and_dashes(name):
    with pytest.raises(MixvaeError, match="name"):
        laplace(name)


def test_register_needs_its_name():
    with pytest.raises(MixvaeError, match=r'@mixvae\.register\("laplace-vae"\)'):
        mixvae.register(VAE)


def _optioned(annotation: Any, **default: Any) -> type:
    body = {"__annotations__": {"prior_part": annotation}, **default, "__module__": __name__}
    return dataclass(frozen=True, kw_only=True)(type("Own", (VAE,), body))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: dict, "dict is not a recipe: a recipe is a class that inherits from"),
        (lambda: "vae", "'vae' is not a recipe"),
        (lambda: _optioned(int), "prior_part of Own has no default: give it one"),
        (
            lambda: _optioned(nn.Module, prior_part=None),
            "prior_part of Own is of type Module, which recipe.json cannot hold",
        ),
        (lambda: _optioned(dict[str, int], prior_part=None), "prior_part of Own is of type dict"),
        (
            lambda: _optioned(Sequence[torch.Tensor], prior_part=()),
            "prior_part of Own is of type Tensor",
        ),
        (lambda: _optioned(int | Any, prior_part=None), "prior_part of Own is of type"),
        (lambda: _optioned(int, prior_part=0), "prior_part must be at least 1; got 0"),
        (lambda: _optioned(int, prior_part="3"), "prior_part must be a whole number; got '3'"),
        (lambda: _optioned("NoSuchName", prior_part=3), "annotations of Own cannot be read"),
        (
            lambda: type("Own", (VAE,), {"__annotations__": {"scale": float}, "scale": 1.0}),
            "the option scale of Own is not known: put @dataclass(frozen=True, kw_only=True)",
        ),
        (
            lambda: dataclass(frozen=True, kw_only=True)(
                type("Own", (VAE,), {"__annotations__": {"single": bool}, "single": True})
            ),
            "Own cannot have an option single, which is build's, or a method of all recipes",
        ),
    ],
)
def test_what_cannot_be_a_recipe_is_refused_where_it_is_registered(make, said):
    before = dict(RECIPES)
    with pytest.raises(MixvaeError, match=re.escape(said)):
        mixvae.register("own")(make())
    assert dict(RECIPES) == before


def test_a_class_without_a_name_is_refused_before_it_is_built_or_loaded(folder):
    class Nameless(VAE):
        """A VAE."""

    with pytest.raises(MixvaeError, match=r'put @mixvae.register\("a-name"\) above the class'):
        build(Nameless, IMAGE)
    with pytest.raises(MixvaeError, match=r'put @mixvae.register\("a-name"\) above the class'):
        mixvae.load(folder, recipes=[Nameless])
    with pytest.raises(MixvaeError, match="'vae' is not a recipe"):
        mixvae.load(folder, recipes=["vae"])


def test_options_keep_what_json_keeps():
    @mixvae.register("optioned")
    @dataclass(frozen=True, kw_only=True)
    class Optioned(VAE):
        """Of every kind."""

        pair: tuple[int, int] = (1, 2)
        names: Sequence[str] = ()
        depth: int = field(default=0, metadata={"at_least": 0})
        rate: float | None = None
        how: str = "so"
        nested: Sequence[Sequence[float]] = ()

    given = {"pair": [3, 4], "names": ["a"], "rate": np.float64(2), "nested": [[1], (2, 3.5)]}
    recipe = Optioned(**given)
    assert (recipe.pair, recipe.names, recipe.rate) == ((3, 4), ("a",), 2.0)
    assert recipe.nested == ((1.0,), (2.0, 3.5))
    assert Optioned(**json.loads(json.dumps(recipe.options()))) == recipe
    for wrong, said in [
        ({"pair": [1]}, "pair must be a list of 2, such as [1, 2]; got [1]"),
        ({"pair": [1, 0]}, "pair must be at least"),
        ({"names": "abc"}, "names must be a list"),
        ({"names": [1]}, "names must be text; got 1"),
        ({"depth": -1}, "depth must be at least 0; got -1"),
        ({"rate": float("inf")}, "rate must be a finite number; got inf"),
        ({"rate": True}, "rate must be a number or null; got True"),
        ({"how": None}, "how must be text; got None"),
        ({"nested": [1]}, "nested must be a list"),
    ]:
        with pytest.raises(MixvaeError, match=re.escape(said)):
            Optioned(**wrong)


# Of installed packages


@pytest.fixture
def installed(tmp_path, monkeypatch, file):
    """A package whose recipe is found by an entry point."""
    info = tmp_path / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[mixvae.recipes]\nlaplace-vae = my_package:LaplaceVAE\nbroken = my_package:Missing\n"
    )
    (tmp_path / "my_package.py").write_text(LAPLACE)
    (tmp_path / "scales.py").write_text("USUAL = 0.5\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("my_package", "scales"):
        sys.modules.pop(name, None)


def test_a_recipe_of_an_installed_package_is_imported_when_it_is_named_and_not_by_a_run(
    installed, folder
):
    with pytest.raises(MixvaeError, match="not known here"):
        mixvae.load(folder)
    assert "my_package" not in sys.modules
    assert build("laplace-vae", IMAGE).options["scale"] == 0.5
    assert mixvae.load(folder).recipe.name == "laplace-vae"
    with pytest.raises(MixvaeError, match=r"'broken' of my_package:Missing cannot be imported"):
        build("broken", IMAGE)
    with pytest.raises(MixvaeError, match="Did you mean 'laplace-vae'"):
        build("laplace-va", IMAGE)


# Files that cannot be used


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (None, ":A", "no such file; a recipe of your own is FILE:CLASS"),
        ("x = 1\ny = = 2\n", ":A", "my.py, line 2: SyntaxError: invalid syntax"),
        ("x = 1\n\nimport no_such_package\n", ":A", "my.py, line 3: ModuleNotFoundError: No"),
        ("def f():\n    return 1 / 0\nf()\n", ":A", "my.py, line 2: ZeroDivisionError"),
        ("raise SystemExit(3)\n", ":A", "my.py, line 1: SystemExit: 3"),
        ("x = 1\n", ":A", "my.py has no class A, and no recipe at all"),
        ("x = 1\n", "", "There are none with @mixvae.register"),
        ("class A: pass\n", ":A", "A is not a recipe: a recipe is a class that inherits from"),
        ("def A(): pass\n", ":A", "A is not a recipe"),
        ("import mixvae\nclass A(mixvae.recipes.VAE): pass\n", ":A", "A has no name"),
        (LAPLACE, ":LaplaceVEA", "Did you mean 'LaplaceVAE'?"),
        (
            LAPLACE + '\n@mixvae.register("other")\nclass Other(LaplaceVAE):\n    """Other."""\n',
            "",
            "say which recipe of {path}: my.py:CLASS. There are LaplaceVAE, Other.",
        ),
        (
            LAPLACE + '\n@mixvae.register("laplace-vae")\nclass Other(LaplaceVAE): pass\n',
            ":Other",
            "my.py, line 33: the name 'laplace-vae' is taken by LaplaceVAE of",
        ),
        (
            LAPLACE.replace("scale: float = USUAL", "scale: float"),
            "",
            "the option scale of LaplaceVAE has no default",
        ),
        (
            LAPLACE.replace("scale: float = USUAL", "scale: nn.Module = None"),
            "",
            "the option scale of LaplaceVAE is of type Module, which recipe.json cannot hold",
        ),
        (
            LAPLACE.replace("LaplacePrior(self.n_latent,", "LaplacePrior(self.n_latent + 1,"),
            "",
            "LaplaceVAE.make_prior must return a distribution of batch shape () and event shape "
            "(3,) (the posterior's codes have that shape); it gave batch shape () and event shape "
            "(4,)",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_and_leaves_nothing(
    capsys, tmp_path, content, name, said, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my.py"
    (tmp_path / "scales.py").write_text("USUAL = 0.5\n")
    if content is not None:
        path.write_text(content)
    before = set(sys.modules)
    line = refused(capsys, "train", f"{path}{name}", *SMALL, *QUIET, "--out", "out")
    assert said.format(path=path) in line
    assert not (tmp_path / "out").exists()
    if "Error" in said or "SystemExit" in said:
        assert not [new for new in set(sys.modules) - before if new.startswith("my_")]


def test_a_file_that_was_changed_is_read_anew(tmp_path, capsys, file):
    path = tmp_path / "my_changing.py"
    (tmp_path / "scales.py").write_text("USUAL = 0.5\n")
    for usual in ("1.0", "2.0"):
        path.write_text(LAPLACE.replace("= USUAL", f"= {usual}"))
        assert main(["recipes", str(path)]) == 0
        assert f"(default: {usual})" in capsys.readouterr().out


# Parts that do not fit


def own(**methods: Any) -> type[Recipe]:
    body = {f"make_{slot}": method for slot, method in methods.items()}
    return mixvae.register("own")(type("Own", (mixvae.recipes.MVAE,), {"__module__": "my", **body}))


@pytest.mark.parametrize(
    ("slot", "make", "said"),
    [
        ("encoder", lambda self, x: nn.Flatten(), "features of shape (2, 4, H) for 2 x and K = 4"),
        ("encoder", lambda self, x: nn.Linear(5, 3), "make_encoder reads x, of shape (2, 1, 3, 4)"),
        (
            "encoder",
            lambda self, x: mixvae.recipes.MVAE(hidden=7).make_encoder(x),
            "make_posterior reads features, which make_encoder leaves (encoder_features says",
        ),
        ("posterior", lambda self, x: nn.Identity(), "must return a distribution; it gave a tens"),
        (
            "posterior",
            lambda self, x: mixvae.recipes.MVAE(n_components=2).make_posterior(x),
            "make_posterior",
        ),
        (
            "weights",
            lambda self, x: mixvae.parts.CategoricalWeights(3),
            "make_encoder must give features of shape (2, 3, H)",
        ),
        (
            "weights",
            lambda self, x: nn.Identity(),
            "Own.make_weights must return a mixvae.parts.weights",
        ),
        (
            "decoder",
            lambda self, x, p: nn.Identity(),
            "make_decoder must return a mixvae.parts.decoders",
        ),
        ("prior", lambda self, x: lambda encode: 3, "Own.make_prior must return a torch.nn.mod"),
        ("prior", lambda self, x: nn.ReLU(), "the part of Own.make_prior reads encode"),
        ("family", lambda self: "joint", "Own.make_family must return a mixvae.families.Family"),
        (
            "prior",
            lambda self, x: mixvae.parts.NormalPrior(torch.zeros(3, 50)),
            "make_prior must return a distribution of batch shape (4,) and event shape (50,)",
        ),
        (
            "decoder",
            lambda self, x, p_x: mixvae.recipes.MVAE(n_latent=9).make_decoder(x, p_x),
            "make_decoder reads codes, of shape (1, 2, 4, 50), and fails",
        ),
        (
            "likelihood",
            lambda self, x: mixvae.likelihoods.BernoulliLikelihood((1, 4, 3)),
            "make_decoder must return a distribution of batch shape (1, 2, 1) and event shape "
            "(1, 3, 4) (x has that shape); it gave batch shape (1, 2, 1) and event shape (1, 4, 3",
        ),
        (
            "objective",
            lambda self: elbo,
            "make_objective must return a mixvae.objectives.",
        ),
    ],
)
def test_a_part_that_does_not_fit_is_named_with_what_it_got_and_what_it_needs(slot, make, said):
    with pytest.raises(MixvaeError, match=re.escape(said)) as raised:
        build(own(**{slot: make}), IMAGE)
    assert "\n" not in str(raised.value)


def test_the_check_of_parts_changes_neither_the_model_nor_what_is_drawn_next():
    def built(kind: Any) -> tuple[BuiltRecipe, torch.Tensor]:
        torch.manual_seed(0)
        return build(kind, IMAGE, hidden=6), torch.rand(3)

    (ours, noise), (theirs, same) = built(own()), built("mvae")
    assert torch.equal(noise, same)
    assert ours.model.training
    states = [recipe.model.state_dict() for recipe in (ours, theirs)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[1])


# What else a recipe can be asked for


def test_single_has_one_component_and_without_dropout_no_masks():
    for name in RECIPES:
        recipe = Case(name).build().recipe
        assert build(recipe.single(), IMAGE).n_components == 1
        assert build(recipe.without_dropout(), IMAGE).model.dropout is None
    masked = mixvae.recipes.MVAEGS(n_latent=3, rate="shared")
    assert masked.without_dropout() == mixvae.recipes.MVAE(n_latent=3)
    exact = mixvae.recipes.MixtureOfVAEs(keep_prior=0.2, n_components=5)
    assert build(exact.without_dropout(), IMAGE).model.sampler is None
    assert build(exact.single(), IMAGE).model.dropout is None  # nothing to drop


def test_a_subclass_of_a_masked_recipe_says_what_it_is_without():
    kind = mixvae.register("own")(type("Own", (mixvae.recipes.MVAEGS,), {}))
    with pytest.raises(MixvaeError, match="Own does not say what it is without component dropout"):
        mixvae.prune(build(kind, IMAGE, n_components=3, hidden=4, n_latent=2), keep=[0, 2])


def test_resolve_completes_what_is_none_and_leaves_what_is_given():
    data = mixvae.data.load("digits")
    recipe = mixvae.recipes.MVAE(conditional=True)
    assert recipe.resolve(data).options() == recipe.options() | {
        "likelihood": "binomial",
        "n_trials": 16,
        "n_classes": 10,
    }
    given = mixvae.recipes.MVAE(conditional=True, n_classes=12, likelihood="squared-error")
    assert given.resolve(data) == given
    assert mixvae.recipes.MVAE().resolve(data).options()["n_classes"] is None
    assert VAE().resolve().options()["likelihood"] == "bernoulli"


@pytest.mark.parametrize("name", RECIPES)
def test_the_options_of_importance_weighting_are_in_the_objective(name):
    options = options_of(name)
    if "n_samples" not in options:
        return
    chosen = {"bound": "iwae"} if "bound" in options else {}
    recipe = Case(name, {"n_samples": 3} | chosen).build()
    assert recipe.objective.n_samples == 3
    t = recipe.model.eval()(torch.rand(4, *IMAGE).round(), 3)
    terms = recipe.objective.bound(t)
    assert torch.equal(terms["iwae"], iwae(t)["iwae"])
    assert recipe.objective.is_bound == (not recipe.objective.penalties and "dropout" not in terms)


def test_an_objective_with_penalties_is_never_called_a_bound():
    penalty = {"penalty": lambda t: t.z.mean()}
    assert Objective(elbo, is_bound=True).is_bound
    assert not Objective(elbo, penalty, is_bound=True).is_bound
    assert not Objective(elbo).is_bound
