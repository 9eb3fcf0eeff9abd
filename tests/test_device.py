"""Everything runs on a GPU as on the CPU, as far as a stand-in for CuPy can tell: no GPU is needed, none is tested."""

import ast
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from devices import assert_same_network, assert_same_runs, best_parameters, settings, train_and_resume

import cormorant_np
from cormorant_np import backend, benchmark, check, evaluate, train
from cormorant_np.errors import UserError
from cormorant_np.network.vertex_network import COLUMNS
from cormorant_np.spherical_harmonics import real_sh
from cormorant_np.training import loop, parallel
from cormorant_np.training.problem import epoch_batches, prepare

RUNS = [
    ("sample", "supplement", "float64"),
    ("sample", "released", "float32"),
    ("qm9-sample", "supplement", "float32"),
    ("qm9-sample", "released", "float64"),
]
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
LOOSE = {"float32": 1e-5, "float64": 1e-12}
"""After some steps: AMSGrad divides by gradients, also by those that are nearly zero."""


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_network_gives_the_same_on_both_devices(cupy, either_config, dtype, monkeypatch):
    """In one part on the CPU, and in parts of one channel on the GPU."""
    monkeypatch.setitem(COLUMNS, "gpu", 1)
    assert_same_network(either_config, dtype, TOLERANCE[dtype])


def test_real_harmonics_are_made_where_the_vectors_are(cupy, rng):
    vectors = rng.standard_normal((4, 3))
    np.testing.assert_array_equal(real_sh(cupy.asarray(vectors), 3).get(), real_sh(vectors, 3))


@pytest.mark.parametrize("dataset, convention, dtype", RUNS)
def test_training_evaluation_and_prediction_give_the_same(cupy, tmp_path, dataset, convention, dtype):
    assert_same_runs(tmp_path, LOOSE[dtype], dataset=dataset, convention=convention, dtype=dtype)


@pytest.mark.parametrize("devices", [("cpu", "gpu"), ("gpu", "cpu"), ("gpu", "gpu")])
def test_a_checkpoint_of_one_device_resumes_on_the_other(cupy, tmp_path, monkeypatch, devices):
    loop.train(settings(dtype="float64"), tmp_path / "whole")
    train_and_resume(tmp_path / "resumed", monkeypatch, devices, dtype="float64")
    whole, resumed = (best_parameters(tmp_path / run) for run in ("whole", "resumed"))
    np.testing.assert_allclose(resumed, whole, rtol=0, atol=1e-12 * np.abs(whole).max())


def test_a_run_that_was_resumed_on_the_cpu_needs_no_gpu_any_more(cupy, tmp_path, monkeypatch):
    loop.train(settings(device="gpu", epochs=1), tmp_path)
    monkeypatch.setattr(cupy, "is_available", lambda: False)
    assert train.main(["--run-dir", str(tmp_path), "--resume", "--device", "cpu", "--epochs", "2"]) == 0


def counted_step(cupy, **fields):
    """What the second step of a run uploads, reads and computes."""
    given = settings(device="gpu", **fields)
    problem = prepare(given)
    state = loop.start(given, problem)
    first, second, *_ = epoch_batches(problem, given, 0)
    with parallel.workers(2, "gpu") as pool:
        state = loop.train_step(state, first, problem, given, pool)
        cupy.counts.clear()
        loop.train_step(state, second, problem, given, pool)
    return cupy.counts


@pytest.mark.parametrize("convention", ["supplement", "released"])
@pytest.mark.parametrize("dataset", ["sample", "qm9-sample"])
def test_a_step_uploads_the_indices_of_its_batch_and_reads_nothing(cupy, dataset, convention):
    counts = counted_step(cupy, dataset=dataset, convention=convention)
    assert counts["uploads"] == 1 and counts["reads"] == 0


def test_the_paper_s_network_takes_no_more_operations_than_documented(cupy):
    counts = counted_step(cupy, num_layers=4, num_channels=16, l_max=3, batch_size=25, num_train=50)
    assert counts["operations"] <= 909


def test_an_epoch_reads_no_more_for_more_steps(cupy, tmp_path):
    reads = []
    for batch_size in (10, 5):
        cupy.counts.clear()
        loop.train(settings(device="gpu", epochs=1, batch_size=batch_size), tmp_path / str(batch_size))
        reads.append(cupy.counts["reads"])
    assert reads[0] == reads[1]


def broken(error):
    def function(*args, **kwargs):
        raise error

    return function


def test_without_cupy_the_message_tells_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(UserError) as caught:
        backend.check_device("gpu")
    for words in ("not installed", "pip install 'cupy-cuda12x[ctk]'", "pip install 'cupy-cuda13x[ctk]'", "CUDA 13"):
        assert words in str(caught.value)


def test_without_a_device_the_message_says_so(cupy, monkeypatch):
    monkeypatch.setattr(cupy, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"no CUDA device.*or no driver.*--device cpu"):
        backend.check_device("gpu")


def test_without_cuda_s_libraries_the_message_names_the_first_one(cupy, monkeypatch):
    error = ImportError("libcublas.so.12: cannot open shared object file\nand a long\nexplanation")
    monkeypatch.setattr(cupy.ndarray, "__matmul__", broken(error))
    with pytest.raises(UserError, match=r"libcublas.so.12.*pip install 'cupy-cuda12x") as caught:
        backend.check_device("gpu")
    assert "explanation" not in str(caught.value)


def test_a_full_gpu_is_not_taken_for_a_broken_one(cupy, monkeypatch):
    monkeypatch.setattr(cupy.ndarray, "__matmul__", broken(MemoryError("Out of memory allocating 512 bytes")))
    with pytest.raises(UserError, match="memory is full"):
        backend.check_device("gpu")


def test_out_of_memory_in_training_names_a_batch_size_to_try(cupy, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "train_step", broken(MemoryError("Out of memory allocating 512 bytes")))
    with pytest.raises(UserError, match="--batch-size 5"):
        loop.train(settings(device="gpu"), tmp_path)


def test_auto_is_the_gpu_if_it_works_and_else_the_cpu(cupy, monkeypatch, capsys):
    assert backend.choose_device("auto") == "gpu"
    assert "GPU" in capsys.readouterr().err
    monkeypatch.setattr(cupy, "is_available", lambda: False)
    assert backend.choose_device("auto") == "cpu"
    assert "takes the CPU. There is no CUDA device" in capsys.readouterr().err
    assert [backend.choose_device(device) for device in ("cpu", "gpu", None)] == ["cpu", "gpu", None]


def test_evaluate_takes_auto(cupy, tmp_path):
    loop.train(settings(epochs=1), tmp_path)
    assert evaluate.main(["--run-dir", str(tmp_path), "--device", "auto", "--json"]) == 0


def test_the_benchmark_runs(cupy, capsys):
    options = "--device gpu --json --batch-size 2 --num-channels 2 --l-max 1 --repeats 1"
    assert benchmark.main(options.split()) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["device"] == "gpu"
    assert result["array_module_counts"]["operations"] > 100 and result["array_module_counts"]["reads"] == 0


@pytest.mark.parametrize("preset, convention", [("md17", "released"), ("qm9", "supplement")])
def test_check_gives_the_same(cupy, capsys, preset, convention):
    options = f"--preset {preset} --convention {convention} --num-channels 2 --num-layers 2 --l-max 2 --json"
    reports = []
    for device in ("cpu", "gpu"):
        assert check.main([*options.split(), "--device", device]) == 0
        reports.append(json.loads(capsys.readouterr().out))
    on_cpu, on_gpu = reports
    assert on_gpu["parameters"] == on_cpu["parameters"]
    np.testing.assert_allclose(on_gpu["mean_activations"], on_cpu["mean_activations"], rtol=1e-12)
    np.testing.assert_allclose(on_gpu["parity"]["energy"], on_cpu["parity"]["energy"], rtol=1e-6)


SOURCES = sorted(Path(cormorant_np.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_only_backend_names_cupy_and_asks_for_the_device(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    imported = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    imported += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    names = [name.partition(".")[0] for name in imported] + [node.id for node in nodes if isinstance(node, ast.Name)]
    compared = [
        operand.value
        for node in nodes
        if isinstance(node, ast.Compare)
        for operand in (node.left, *node.comparators)
        if isinstance(operand, ast.Constant)
    ]
    is_backend = path.name == "backend.py"
    assert bool({"cupy", "cupyx"} & set(names)) == is_backend
    assert bool({"cpu", "gpu"} & set(compared)) == is_backend
