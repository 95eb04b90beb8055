"""File formats of exported functions: ONNX, and the programs of torch.export."""

import logging
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.export import Dim, ExportedProgram

from mixvae.errors import MixvaeError

from .decompositions import table
from .modules import Function

Call = Callable[..., list[Tensor]]
RANDOM = re.compile(
    r"aten\.(rand|randn|randint|randperm)(_like)?\.|"
    r"aten\.(bernoulli|multinomial|normal|poisson|binomial|uniform|exponential|dropout)_?\.|"
    r"aten\.(native_dropout|_standard_gamma|_sample_dirichlet)\."
)
MOST_BYTES = 1_900_000_000  # of weights in an ONNX file, which is limited to 2 GB


class Format(ABC):
    """A file format of functions of tensors; the base class.

    Attributes
    ----------
    name, suffix
        The format's name, and that of its files.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]

    def instead(self) -> Mapping[Any, Callable[..., Any]]:
        """Functions in place of operations that it lacks."""
        return {}

    @abstractmethod
    def check(self) -> None:
        """Raise a MixvaeError where a package is missing that writes it."""

    @abstractmethod
    def write(self, program: ExportedProgram, function: Function, path: Path) -> None:
        """Write a program."""

    @abstractmethod
    def read(self, path: Path) -> Call | None:
        """The function in a file; None where the package is missing that runs it."""


class Torch(Format):
    """A program of torch.export: JSON and raw numbers in a zip file (.pt2), without pickles."""

    name, suffix = "torch", ".pt2"

    def check(self) -> None:
        """Nothing: PyTorch writes it."""

    def write(self, program: ExportedProgram, function: Function, path: Path) -> None:
        program._example_inputs = None  # they would be pickled
        with path.open("wb") as file:
            torch.export.save(program, file)

    def read(self, path: Path) -> Call:
        with path.open("rb") as file:
            module = torch.export.load(file).module()
        return lambda *values: list(module(*values))


class Onnx(Format):
    """An ONNX file."""

    name, suffix = "onnx", ".onnx"

    def instead(self) -> Mapping[Any, Callable[..., Any]]:
        return table()

    def check(self) -> None:
        missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
        if missing:
            raise MixvaeError(
                f"ONNX files need the package {missing[0]}, which is not installed: pip install "
                "'mixvae[export]'. The format torch needs none."
            )

    def write(self, program: ExportedProgram, function: Function, path: Path) -> None:
        found = torch.onnx.export(
            program,
            (),
            dynamo=True,
            verbose=False,
            input_names=[value.name for value in function.inputs],
            output_names=[value.name for value in function.outputs],
        )
        assert found is not None
        n_bytes = sum(t.numel() * t.element_size() for t in program.state_dict.values())
        found.save(path, external_data=n_bytes > MOST_BYTES)

    def read(self, path: Path) -> Call | None:
        if find_spec("onnxruntime") is None:
            return None
        import onnxruntime  # type: ignore[import-untyped]

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        names = [value.name for value in session.get_inputs()]

        def call(*values: Tensor) -> list[Tensor]:
            given = {k: v.numpy() for k, v in zip(names, values, strict=True)}
            return [torch.as_tensor(found) for found in session.run(None, given)]

        return call


FORMATS: Mapping[str, Format] = {"onnx": Onnx(), "torch": Torch()}


def program_of(form: Format, function: Function, values: Sequence[Tensor]) -> ExportedProgram:
    """The function as a program for any number of rows.

    Parameters
    ----------
    form
        The format it is for.
    function
        The function.
    values
        Inputs of two rows or more, each of its own memory.

    Raises
    ------
    MixvaeError
        Where it cannot be made, or has random operations.
    """
    rows = Dim("N", min=1)
    with torch.no_grad():
        function(*values)  # what distributions keep once it is computed is not to be of the tracing
    with quiet(), torch.enable_grad():  # a change of the mode would be an operation
        try:
            program = torch.export.export(
                function, tuple(values), dynamic_shapes=(tuple({0: rows} for _ in values),)
            )
            program = program.run_decompositions(dict(form.instead()))  # and without dead code
        except MixvaeError:
            raise
        except Exception as error:
            raise MixvaeError(f"PyTorch cannot export it ({_line(error)})") from error
    targets = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    if random := sorted(filter(RANDOM.match, targets)):
        raise MixvaeError(f"it has random operations ({random[0]})")
    return program


def write_as(form: Format, program: ExportedProgram, function: Function, path: Path) -> None:
    """Write a program; raise a MixvaeError where the format lacks some operation."""
    with quiet():
        try:
            form.write(program, function, path)
        except (MixvaeError, OSError):
            raise
        except Exception as error:
            raise MixvaeError(f"{form.name} cannot hold it ({_line(error)})") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporter's own warnings and messages, which are for its developers.

    Distributions do not check their arguments, since values are not known when a program is made.
    """
    disabled, checks = logging.root.manager.disable, Distribution._validate_args
    logging.disable(logging.CRITICAL)
    Distribution.set_default_validate_args(False)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        Distribution.set_default_validate_args(checks)


def _line(error: BaseException) -> str:
    """The first line of the error that began it."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines: Any = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:160] if lines else ''}"
