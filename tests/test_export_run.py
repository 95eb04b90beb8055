"""Runs exported to ONNX and torch.export: the same numbers as the library's, in data units."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mixvae
from cases import CASES, FLAT, KINDS, Case
from mixvae.cli import main
from mixvae.data import Standardization, Transform
from mixvae.errors import MixvaeError
from mixvae.evaluation import cluster_probabilities, latent_operations, responsibilities
from mixvae.export import export_run
from mixvae.export.checking import compare
from mixvae.export.decompositions import cholesky, log_gamma, solve_triangular
from mixvae.export.formats import FORMATS, program_of, quiet, write_as
from mixvae.export.running import SIGNATURE, examples, functions_of
from mixvae.run import DATA, Run, save_recipe, save_weights, write_json

ONE_OF_EACH = list({case.recipe: case for case in reversed(CASES)}.values())
MORE = [
    Case("mvae", {"conditional": True, "n_classes": 3}),
    Case("mfa-vae", {"missing": True}, FLAT),
    Case("mfa-vae", {"columns": KINDS, "missing": True}, FLAT),
    Case("gmmp-vae", {"pixelcnn": True, "pixelcnn_features": 8, "pixelcnn_layers": 2}, (1, 5, 4)),
    Case("mixture-vae", {"shared_layers": False}),
    Case("mixture-vae", {"prior": "flow"}),
    Case("vae", {"posterior": "planar", "prior": "maf"}),
    Case("vae", {"posterior": "iaf"}),
    Case("m-vae", {"combine": "mixture"}),
]
DISTINCT = ("vae", "wae-mmd", "mvae-gs", "mixture-vae", "mfa-vae", "dlgmm")
DISTINCT += ("sb-vae", "gmmp-vae", "vade", "flow-vae")
PROGRAMS = [case for case in ONE_OF_EACH if case.recipe in DISTINCT]
FLOWS = [case for case in MORE if {"prior", "posterior"} & set(case.options)]
PAGE = Path(__file__).parents[1] / "docs" / "export.md"
pytestmark = pytest.mark.usefixtures("unchecked")


def run_of(case: Case, folder: Path) -> Run:
    recipe = case.build()
    recipe.model.eval()
    return Run(folder, recipe)


def outputs(run: Run, name: str, *values: Tensor) -> dict[str, Tensor]:
    function = functions_of(run, {})[0][name]
    with torch.no_grad():
        found = function(*values)
    assert [tuple(f.shape[1:]) for f in found] == [v.shape for v in function.outputs]
    assert [f.dtype for f in found] == [v.dtype for v in function.outputs]
    return dict(zip([v.name for v in function.outputs], found, strict=True))


@pytest.mark.parametrize("case", ONE_OF_EACH + MORE, ids=str)
def test_functions_are_those_of_the_library(case: Case, tmp_path: Path) -> None:
    run, x = run_of(case, tmp_path), case.data()
    y = case.labels(x)
    if case.options.get("missing"):
        x[0, 1] = x[3, 2:5] = torch.nan
    model, labels = run.recipe.model, () if y is None else (y,)
    found = outputs(run, "encoder", x, *labels)
    torch.testing.assert_close(found["code_mean"], latent_operations.codes(model, x, y))
    if "code_scale" in found:
        torch.testing.assert_close(found["code_scale"], latent_operations.scales(model, x, y))
    torch.testing.assert_close(found["responsibilities"], responsibilities(model, x, y))
    if "cluster_probabilities" in found:
        own = cluster_probabilities(model, x, y)
        torch.testing.assert_close(found["cluster_probabilities"], own)
    assert ("cluster_probabilities" in found) == (case.recipe in ("vade", "gmvae"))
    functions, left_out = functions_of(run, {})
    if model.decoder.likelihood.autoregressive:
        assert "PixelCNN" in left_out["decoder"]
        return
    codes = found["code_mean"], found["responsibilities"], *labels
    decoded = outputs(run, "decoder", *codes)
    with torch.no_grad():
        each = model.reconstruct_each(x, y)
        torch.testing.assert_close(decoded["component_means"], each)
        if not case.options.get("columns"):  # whose categories have no average
            torch.testing.assert_close(decoded["mean"], model.reconstruct(x, y))
    assert ("sampler" in functions) != ("sampler" in left_out)


def test_a_sampler_has_the_moments_of_the_model(tmp_path: Path) -> None:
    for case in (Case("vade"), Case("mixture-vae", {"likelihood": "gaussian"}, FLAT)):
        run = run_of(case, tmp_path)
        with torch.no_grad():
            run.recipe.model.decoder.branch.apply(lambda m: _larger(m))
        torch.manual_seed(0)
        noise, uniform = functions_of(run, {})[0]["sampler"].own_inputs
        n = 20_000
        given = torch.randn(n, *noise.shape), torch.rand(n, *uniform.shape)
        x = outputs(run, "sampler", *given)["x"]
        own = run.recipe.model.sample(n)
        for moment in (torch.mean, torch.std):
            torch.testing.assert_close(moment(x, 0), moment(own, 0), rtol=0.05, atol=0.02)


def _larger(module: nn.Module) -> None:
    for p in module.parameters(recurse=False):
        p.mul_(3)


@pytest.mark.parametrize("case", [*PROGRAMS, *FLOWS], ids=str)
def test_a_program_takes_any_number_of_rows(case: Case, tmp_path: Path) -> None:
    functions, _ = functions_of(run_of(case, tmp_path), {})
    function = functions["encoder"]
    program = program_of(FORMATS["torch"], function, examples(functions, "encoder", 3)).module()
    for n in (1, 2, 7):
        x = examples(functions, "encoder", n)
        for found, expected in zip(program(*x), function(*x), strict=True):
            torch.testing.assert_close(found, expected, equal_nan=True)


@pytest.mark.parametrize(
    "case",
    [
        Case("mixture-vae", {"n_components": 1, "n_normals": 2}, FLAT),
        Case("mfa-vae", {"columns": [["poisson", 1]] * FLAT[0], "n_batches": 2}, FLAT),
    ],
    ids=str,
)
def test_the_sampler_of_one_component_and_columns_of_one_kind_are_exported(
    case: Case, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    functions, _ = functions_of(run_of(case, tmp_path), {})
    function, form, path = functions["sampler"], FORMATS["onnx"], tmp_path / "sampler.onnx"
    program = program_of(form, function, examples(functions, "sampler", 3))
    write_as(form, program, function, path)
    checked = compare(form, path, [examples(functions, "sampler", n) for n in (1, 2)], function)
    assert checked is not None
    assert checked.rows == [1, 2]


@pytest.mark.slow
def test_onnx_reads_missing_values(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    case = MORE[1]
    functions, _ = functions_of(run_of(case, tmp_path), {})
    function, form, path = functions["encoder"], FORMATS["onnx"], tmp_path / "encoder.onnx"
    program = program_of(form, function, examples(functions, "encoder", 3))
    write_as(form, program, function, path)
    session = onnxruntime.InferenceSession(path)
    x = case.data(5)
    x[2, 1] = x[3, :4] = torch.nan
    found = session.run(["code_mean", "code_scale", "responsibilities"], {"x": x.numpy()})
    model = function.model
    expected = latent_operations.codes(model, x), latent_operations.scales(model, x)
    for own, other in zip(found, (*expected, responsibilities(model, x)), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("onnxruntime", "onnxscript", "arviz"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    signature = json.loads((tmp_path / "served" / SIGNATURE).read_text())
    for part in signature["functions"].values():
        assert part["compared"]["rows"] == [1, 2, 7]
        assert max(part["compared"]["max_difference"].values()) < 1e-3
    assert len(signature["functions"]) == 3
    assert names["component"].shape == (100,)
    model, transform = names["run"].recipe.model, names["run"].transform
    expected = transform.invert(model.reconstruct(transform.apply(names["rows"])))
    np.testing.assert_allclose(names["mean"], expected, rtol=1e-4)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, np.ndarray]:
    """A run on a table with large means, a constant column and batches; and rows of the table."""
    folder = tmp_path_factory.mktemp("runs") / "table"
    folder.mkdir()
    x = np.random.default_rng(0).normal(size=(9, 3)) * [1, 5, 200] + [5, 0, 3e6]
    x = np.column_stack([x, np.full(len(x), 7.0)])
    transform = Standardization(
        ("a", "b", "c", "d"), tuple(x.mean(0)), tuple(x.std(0)), (False, False, False, True)
    )
    described = {"name": "table", "transform": transform.to_dict(), "batch_names": ["a", "b"]}
    write_json(folder / DATA, described)
    torch.manual_seed(0)
    recipe = mixvae.build("mfa-vae", (3,), n_components=2, n_latent=1, hidden=(4,), n_batches=2)
    save_recipe(recipe, folder)
    save_weights(recipe, folder)
    return mixvae.load(folder), x


def test_a_program_reads_and_writes_the_columns_of_the_data(table: tuple[Run, np.ndarray]) -> None:
    run, x = table
    exported = run.export(format="torch")
    assert exported.folder == run.folder / "export-torch"
    said = json.loads((exported.folder / SIGNATURE).read_text())
    assert said == exported.signature
    assert said["batch_names"] == ["a", "b"]
    encoder = said["functions"]["encoder"]
    assert [(v["name"], v["shape"], v["dtype"]) for v in encoder["inputs"]] == [
        ("x", ["N", 4], "float64"),
        ("batch", ["N"], "int64"),
    ]
    encode, decode = (
        torch.export.load(exported.folder / f"{name}.pt2").module()
        for name in ("encoder", "decoder")
    )
    rows, batch = torch.from_numpy(x[:5]), torch.tensor([0, 1, 0, 1, 2])
    code, _, r = encode(rows, batch)
    assert code[4].isnan().all()  # there is no third batch
    assert r[4].isnan().all()
    model, transform = run.recipe.model, run.transform
    assert transform is not None
    own = latent_operations.codes(model, transform.apply(x[:4]), batch[:4])
    torch.testing.assert_close(code[:4], own)
    mean, each = decode(code[:4], r[:4], batch[:4])
    expected = transform.invert(model.reconstruct(transform.apply(x[:4]), batch[:4]))
    np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-6)
    assert each.shape == (4, 2, 4)
    assert (each[..., 3] == 7).all()
    for path in exported.folder.glob("*.pt2"):
        for name, content in _members(path).items():
            assert not content.startswith((b"\x80\x02", b"\x80\x04")), name  # a pickle


def _members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_images_are_given_as_they_are_stored(tmp_path: Path) -> None:
    run = run_of(Case("vae"), tmp_path)
    write_json(tmp_path / DATA, {"transform": Transform(255.0).to_dict()})
    x = torch.randint(0, 256, (4, 1, 3, 4)).float()
    found = outputs(run, "encoder", x)["code_mean"]
    torch.testing.assert_close(found, latent_operations.codes(run.recipe.model, x / 255))
    mean = outputs(run, "decoder", found, torch.ones(4, 1))["mean"]
    torch.testing.assert_close(mean, 255 * run.recipe.model.reconstruct(x / 255))
    above = functions_of(run, {"binarize": "threshold"})[0]["encoder"](x)[0]
    own = latent_operations.codes(run.recipe.model, (x / 255 > 0.5).float())
    torch.testing.assert_close(above, own)


@pytest.mark.slow
def test_an_earlier_export_is_replaced_and_nothing_else(
    table: tuple[Run, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, out = table[0], tmp_path / "deep" / "out"
    command = ["export", str(run.folder), "--format", "torch", "--out", str(out)]
    assert main([*command, "--check", "false"]) == 0
    assert "not compared with the model, as was asked" in capsys.readouterr().out
    link = tmp_path / "link"
    link.symlink_to(out)
    run.export(link, format="torch", check=False)
    assert link.is_symlink()  # and its export is replaced
    assert {path.name for path in tmp_path.iterdir()} == {"deep", "link"}
    monkeypatch.chdir(out)
    with pytest.raises(MixvaeError, match="cannot replace the current folder"):
        run.export(".", format="torch")
    before = {path.name for path in out.iterdir()}
    assert before == {"encoder.pt2", "decoder.pt2", "sampler.pt2", SIGNATURE}
    (out / "own.txt").write_text("mine")
    assert main(command) == 2
    assert "exists and is no earlier export" in capsys.readouterr().err
    assert (out / "own.txt").read_text() == "mine"
    assert [path.name for path in out.parent.iterdir()] == ["out"]  # no partial folder
    assert main(["export", str(run.folder), "--format", "onxx"]) == 2


def test_a_file_that_computes_something_else_is_an_error(
    table: tuple[Run, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = FORMATS["torch"]
    wrong = lambda *values: [t + 1 for t in functions(*values)]
    functions = functions_of(table[0], {})[0]["encoder"]
    monkeypatch.setattr(type(form), "read", lambda self, path: wrong)
    with pytest.raises(MixvaeError, match=r"encoder\.pt2: code_mean differs from the model's"):
        export_run(table[0], tmp_path / "out", "torch")
    assert not (tmp_path / "out").exists()


def test_without_onnx_the_error_says_what_to_install(
    table: tuple[Run, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixvae.export.formats.find_spec", lambda name: None)
    with pytest.raises(MixvaeError, match=r"pip install 'mixvae\[export\]'"):
        export_run(table[0])


def test_random_operations_are_refused(tmp_path: Path) -> None:
    functions, _ = functions_of(run_of(Case("vae"), tmp_path), {})
    function = functions["encoder"]
    monkey = type(function).compute
    noisy = type("Noisy", (type(function),), {})
    noisy.compute = lambda self, *v, y: (torch.rand_like(v[0]), *monkey(self, *v, y=y)[1:])
    function.__class__ = noisy
    with pytest.raises(MixvaeError, match="random operations"):
        program_of(FORMATS["torch"], function, examples(functions, "encoder", 3))


def test_onnx_has_log_probabilities_of_large_logits(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    form, path, x = FORMATS["onnx"], tmp_path / "log.onnx", torch.linspace(-200, 200, 41)
    with quiet():
        program = torch.export.export(torch.nn.LogSigmoid(), (x,))
        program = program.run_decompositions(dict(form.instead()))
        torch.onnx.export(program, (), dynamo=True, verbose=False).save(path)
    call = form.read(path)
    assert call is not None
    (found,) = call(x)
    torch.testing.assert_close(found, -torch.nn.functional.softplus(-x), rtol=1e-6, atol=1e-6)


def test_operations_that_onnx_lacks_are_computed_by_others() -> None:
    x = torch.cat([torch.logspace(-6, 6, 200), torch.arange(1, 20)]).double()
    torch.testing.assert_close(log_gamma(x), torch.lgamma(x), rtol=1e-12, atol=1e-11)
    torch.testing.assert_close(log_gamma(x.float()), torch.lgamma(x.float()), rtol=1e-6, atol=1e-6)
    a = torch.randn(3, 5, 5, dtype=torch.float64)
    a = a @ a.mT + torch.eye(5)
    root = torch.linalg.cholesky(a)
    torch.testing.assert_close(cholesky(a), root)
    b = torch.randn(3, 5, 2, dtype=torch.float64)
    for matrix, upper in ((root, False), (root.mT, True)):
        expected = torch.linalg.solve_triangular(matrix, b, upper=upper)
        torch.testing.assert_close(solve_triangular(matrix, b, upper), expected)


def test_onnx_has_all_three_functions_of_a_model_of_one_component(tmp_path: Path) -> None:
    run = run_of(Case("vae", {"hidden": (4,)}), tmp_path)
    found = export_run(run, tmp_path / "onnx", "onnx").signature
    assert list(found["functions"]) == ["encoder", "decoder", "sampler"]
    assert all(part["compared"]["max_difference"] for part in found["functions"].values())
