"""What commands print: --json, --quiet, exit codes, completion; and the files of codes."""

import json
import shutil
import subprocess
import time
import warnings

import numpy as np
import pytest

from mixvae.cli import COMMANDS, main, result
from mixvae.cli.result import Form, Result, as_json
from mixvae.errors import MixvaeError, MixvaeWarning
from mixvae.run import load

SMALL = ["--hidden", "8", "--n-latent", "2", "--subset", "128", "--max-epochs", "1"]
SMALL += ["--progress", "false", "--pictures", "false"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A run folder of a mixture, trained with --json, and what was printed."""
    return tmp_path_factory.mktemp("output") / "run"


@pytest.fixture(scope="module", autouse=True)
def trained(digits):
    """The folder of a small run."""
    argv = ["train", "m-vae", "--data", "digits", "--n-components", "2", *SMALL]
    assert main([*argv, "--out", str(digits), "--quiet"]) == 0
    return str(digits)


def answer(capsys, *argv):
    """The only thing on standard output, as JSON without NaN."""
    assert main([*argv, "--json"]) == 0
    out, _ = capsys.readouterr()
    return json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


# --json


def test_every_command_that_reads_a_run_answers_in_json(trained, capsys, tmp_path):
    file = str(tmp_path / "file.npz")
    for argv in (
        ["sample", trained, "--n", "4"],
        ["reconstruct", trained, "--n", "2"],
        ["encode", trained, "--out", file],
        ["interpolate", trained, "--n", "1", "--steps", "2"],
        ["traverse", trained, "--steps", "2"],
        ["cross", trained],
    ):
        found = answer(capsys, *argv)
        assert found["command"] == argv[0]
        assert found["run"] == trained
        assert {"files", "warnings", "not_finite"} <= found.keys()
        (path,) = found["files"]
        assert path == file or path.startswith(trained)


def test_the_figures_of_evaluate_have_their_marks_in_json(trained, capsys, tmp_path):
    out = str(tmp_path / "metrics.json")
    argv = ("evaluate", trained, "--log-likelihood", "130", "--n-test", "4", "--out", out)
    found = answer(capsys, *argv, "--metrics", "bounds")
    metrics = found["metrics"]
    assert metrics["bounds"]["objective_is_bound"] is False  # MELBO's KL is a mean
    assert metrics["log_likelihood"]["reliable"] in (True, False)
    assert found["files"][0] == out
    assert len(found["files"]) == 3
    with open(out) as file:
        assert json.load(file)["log_likelihood"] == metrics["log_likelihood"]


def test_runs_are_compared_in_json_and_in_a_file_alike(trained, capsys, tmp_path):
    out = tmp_path / "table.json"
    found = answer(capsys, "compare", trained, trained, "--out", str(out), "--n-test", "8")
    assert found["files"] == [str(out)]
    assert found["runs"] == json.loads(out.read_text())["runs"]


def test_lists_are_json_too(capsys):
    assert "m-vae" in answer(capsys, "recipes")["recipes"]
    assert answer(capsys, "recipes", "mvae")["options"]["n_components"] == 4
    assert "digits" in answer(capsys, "data")["data"]
    assert "mvae/table6" in answer(capsys, "reproduce", "--list")["items"]
    assert answer(capsys, "--help")["commands"].keys() == COMMANDS.keys()
    assert "version" in answer(capsys, "--version")
    assert "--max-epochs" in answer(capsys, "train", "--help")["help"]


def test_an_error_is_one_line_also_of_names_with_line_breaks(capsys, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text('"two\nlines",b\n1,2\n3,4\n')
    assert main(["train", "vae", "--data", str(table), "--label-column", "y"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with Form().listening([]):
        warnings.warn("two\nlines", MixvaeWarning, stacklevel=1)
    assert capsys.readouterr().err == "mixvae: warning: two lines\n"


def test_json_of_training_has_the_run_and_nothing_else_on_standard_output(capsys, tmp_path):
    out = str(tmp_path / "run")
    found = answer(capsys, "train", "vae", "--data", "digits", *SMALL, "--out", out)
    assert found["run"] == out
    assert found["metrics"] == load(out).metrics


def test_nan_and_infinities_are_null_and_named():
    values = {"a": {"b": float("nan"), "c": [1.0, float("inf")]}, "x": np.float32(0.5)}
    found = json.loads(as_json("test", Result(values=values)))
    assert found["a"] == {"b": None, "c": [1.0, None]}
    assert found["not_finite"] == {"a.b": "nan", "a.c.1": "inf"}
    assert found["x"] == 0.5


def test_an_error_is_an_object_too(capsys):
    assert main(["evaluate", "nowhere", "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["exit_code"] == 2
    assert json.loads(out)["error"] in err


def test_warnings_are_in_the_object_and_on_standard_error(capsys, monkeypatch):
    import warnings

    from mixvae.cli import lists

    def data(argv):
        print("not JSON")
        warnings.warn("careful", MixvaeWarning, stacklevel=2)
        return Result(text="text", values={"n": 1})

    monkeypatch.setattr(lists, "data", data)
    assert main(["data", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["warnings"] == ["careful"]
    assert err == "mixvae: warning: careful\nnot JSON\n"


def test_a_command_that_only_prints_has_its_text_in_json(capsys, monkeypatch):
    from mixvae.cli import lists

    monkeypatch.setattr(lists, "data", lambda argv: print("one\npath"))
    assert answer(capsys, "data")["text"] == "one\npath\n"
    assert main(["data", "--quiet"]) == 0
    assert capsys.readouterr().out == "path\n"


@pytest.mark.parametrize("word", ["--json=true", "--quiet=false"])
def test_json_and_quiet_take_no_value(word, capsys):
    assert main(["data", word]) == 2
    assert "takes no value" in capsys.readouterr().err


# --quiet


def test_quiet_prints_the_path_of_the_result_alone(trained, capsys, tmp_path):
    out = str(tmp_path / "run")
    argv = ["train", "vae", "--data", "digits", "--hidden", "8", "--max-epochs", "1"]
    argv += ["--subset", "128", "--pictures", "false", "--out", out, "--quiet"]
    assert main(argv) == 0  # with progress, which is not shown
    assert capsys.readouterr() == (f"{out}\n", "")
    assert main(["sample", trained, "--n", "4", "--out", f"{out}.png", "--quiet"]) == 0
    assert capsys.readouterr() == (f"{out}.png\n", "")
    assert main(["recipes", "--quiet"]) == 0
    assert "mixture-vae" in capsys.readouterr().out.splitlines()


def test_quiet_prints_errors(capsys):
    assert main(["evaluate", "nowhere", "--quiet"]) == 2
    assert capsys.readouterr() == (
        "",
        "mixvae: error: nowhere is not a run folder: it has no recipe.json.\n",
    )


# Exit codes


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (None, 0),
        (OSError(28, "No space left on device", "file"), 1),
        (MixvaeError("wrong"), 2),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--json"], ["--quiet"]])
def test_exit_codes_are_those_of_the_help(monkeypatch, capsys, raised, code, flags):
    from mixvae.cli import lists

    def data(argv):
        if raised is not None:
            raise raised
        return Result(text="text")

    monkeypatch.setattr(lists, "data", data)
    assert main(["data", *flags]) == code
    out = capsys.readouterr().out
    main(["--help"])
    assert f"{code} " in capsys.readouterr().out.partition("exit codes:")[2]
    if flags == ["--json"] and code in (1, 2, 130):
        assert json.loads(out)["exit_code"] == code


# Completion


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The file of bash's script."""
    path = tmp_path_factory.mktemp("completion") / "mixvae.bash"
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr(result, "print", lambda *words, **_: lines.extend(words), raising=False)
        assert main(["completion", "bash"]) == 0
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tr"], {"train", "traverse"}),
        (["train", "mvae-g"], {"mvae-gs", "mvae-gau"}),
        (["train", "mvae-gs", "--prun"], {"--prune"}),
        (["train", "vae", "--data", "dig"], {"digits"}),
        (["train", "vae", "--optimizer", ""], {"adam", "adamw", "sgd"}),
        (["train", "vae", "--n-comp"], set()),
        (["evaluate", "runs/x", "--met"], {"--method", "--metrics"}),
        (["reproduce", "m-vae/fig1", "mvae/table6"], {"mvae/table6"}),
        (["completion", ""], {"bash", "zsh"}),
        (["data", "--j"], {"--json"}),
    ],
)
def test_bash_completes_commands_recipes_options_and_names(script, words, expected):
    quoted = " ".join(f"'{word}'" for word in ["mixvae", *words])
    code = f"source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _mixvae; "
    start = time.monotonic()
    done = subprocess.run(
        ["bash", "--norc", "-c", code + 'echo "${COMPREPLY[@]}"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert time.monotonic() - start < 1
    assert set(done.stdout.split()) == expected
    assert done.stderr == ""


def test_completion_has_every_command_and_option_of_its_own_accord(script, capsys):
    text = script.read_text()
    assert all(f"        {name}) echo" in text for name in COMMANDS)
    assert main(["completion", "fishy"]) == 2
    assert "bash, zsh" in capsys.readouterr().err


# Files of codes


def test_codes_are_the_same_in_every_kind_of_file(trained, capsys, tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    paths = {end: tmp_path / f"codes.{end}" for end in ("npz", "csv", "parquet", "npy")}
    for path in paths.values():
        assert main(["encode", trained, "--out", str(path)]) == 0
    arrays = np.load(paths["npz"])
    tables = {
        "csv": pandas.read_csv(paths["csv"]),
        "parquet": pandas.read_parquet(paths["parquet"]),
        "npy": pandas.DataFrame(np.load(paths["npy"])),
    }
    for table in tables.values():
        assert list(table["row"]) == list(arrays["index"])
        assert list(table["label"]) == list(arrays["y"])
        shares = table[["weight_0", "weight_1"]].to_numpy()
        np.testing.assert_allclose(shares, arrays["weights"], rtol=1e-6)
        np.testing.assert_allclose(table["code_1_0"], arrays["codes"][:, 1, 0], rtol=1e-6)
    assert main(["encode", trained, "--out", str(tmp_path / "codes.txt")]) == 2
    assert ".parquet" in capsys.readouterr().err


def test_parquet_without_pyarrow_says_what_to_install(trained, capsys, tmp_path, monkeypatch):
    from mixvae.cli import rows

    monkeypatch.setattr(rows, "find_spec", lambda name: None)
    assert main(["encode", trained, "--out", str(tmp_path / "codes.parquet")]) == 2
    assert "pip install 'mixvae[tables]'" in capsys.readouterr().err


# Words and messages


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("train VAE --data digits", "Did you mean 'vae'?"),
        ("train vae --data Digits", "Did you mean 'digits'?"),
        ("train vade --data digits --n-components 3", "Did you mean --n-clusters?"),
        ("train vae --data digits --n-components 3", "It is an option of m-vae, mvae, "),
        ("train vae --data digits -n 3", "unknown option -n; options begin with two dashes"),
        ("train vae --data digits --epochs 3", "Did you mean --max-epochs?"),
        ("train vae --data digits --likelihood gausian", "Did you mean gaussian?"),
        ("train --resume nowhere --n-latent 3", "chosen when the run began"),
        ("train --config {}", "options.json: unknown key 'hiden'. Did you mean hidden?"),
        ("train vae --hiden 3 --config {}", "unknown key 'hiden'"),
        ("evaluate {}", "options.json is not a run folder: it is a file"),
        ("--verison", "unknown option '--verison'. Did you mean '--version'?"),
        ("completion", "name a shell"),
    ],
)
def test_wrong_calls_have_helpful_messages(argv, message, tmp_path, capsys):
    file = tmp_path / "options.json"
    file.write_text('{"recipe": "vae", "data": "digits", "hiden": [8]}')
    assert main(argv.format(file).split()) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipe: vea\ndata: digits\n", "unknown recipe 'vea'. Did you mean 'vae'?"),
        ("recipe: vae\ndata: digits\nn_latent: three\n", "--n-latent takes int; got 'three'."),
    ],
)
def test_a_wrong_value_in_a_file_is_said_to_be_there(text, message, tmp_path, capsys):
    file = tmp_path / "options.yaml"
    file.write_text(text)
    assert main(["train", "--config", str(file)]) == 2
    assert f"{file}: {message}" in capsys.readouterr().err


def test_figures_go_into_json_files_alone(trained, capsys):
    assert main(["evaluate", trained, "--out", "figures.csv"]) == 2
    assert "must be a .json file" in capsys.readouterr().err


def test_help_is_a_command_too(capsys):
    assert main(["help", "sample"]) == 0
    help_text = capsys.readouterr().out
    assert main(["sample", "--help"]) == 0
    assert capsys.readouterr().out == help_text
    assert "--json" in help_text


def test_a_dry_run_checks_and_trains_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    argv = ["train", "vae", "--data", "digits", "--hidden", "8", "--n-latent", "2", "--dry-run"]
    found = answer(capsys, *argv)
    assert found["n_parameters"] == sum(found["parameters"].values())
    assert found["options"]["likelihood"] == "binomial"  # chosen by the data
    assert main([*argv, "--lr", "0"]) == 2
    assert "lr must be positive" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_run_of_a_table_is_named_without_the_files_ending(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).random((40, 3))
    np.savetxt("own.data.csv", values, delimiter=",", header="a,b,c", comments="")
    argv = ["train", "vae", "--data", "own.data.csv", *SMALL[:4], *SMALL[6:], "--quiet"]
    assert main(argv) == 0
    assert capsys.readouterr().out == "runs/vae-own.data-001\n"


def test_a_table_with_batches_is_filled_in_given_its_batches(tmp_path, monkeypatch, capsys):
    pandas = pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    table = pandas.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"])
    table["site"] = ["north", "south"] * 30
    table["b"] += 8 * (table["site"] == "south")
    table.to_csv("table.csv", index=False)
    small = ["--n-components", "1", "--max-epochs", "1", "--hidden", "4", "--pictures", "false"]
    argv = ["train", "mfa-vae", "--data", "table.csv", "--batch-column", "site", "--out", "run"]
    assert main([*argv, *small]) == 0
    table.loc[:9, "b"] = np.nan
    table.rename(columns={"site": "where"}).to_csv("holes.csv", index=False)
    argv = ["impute", "run", "--data", "holes.csv", "--out", "full.csv"]
    assert main(argv) == 2
    assert "unknown column of holes.csv 'site'" in capsys.readouterr().err
    assert main([*argv, "--batch-column", "where"]) == 0
    full = pandas.read_csv("full.csv")
    assert list(full["where"]) == list(table["site"])
    filled = full["b"][:10].groupby(full["where"][:10]).mean()
    assert filled["south"] - filled["north"] == pytest.approx(8, abs=1.5)
    argv = ["train", "mfa-vae", "--data", "full.csv", "--label-column", "where", "--out", "plain"]
    assert main([*argv, *small]) == 0
    assert main(["impute", "plain", "--batch-column", "where", "--out", "more.csv"]) == 2
    assert "was trained without batches" in capsys.readouterr().err
