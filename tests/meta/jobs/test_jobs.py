"""Jobs are done once, by any number of processes, and survive what stops them."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

import taichisoft as ts
from meta.evaluation import statistics
from meta.evaluation.candidate_job import CODE, CandidateJob
from meta.evaluation.candidates import Learned
from meta.jobs.code import _files, code_digest
from meta.jobs.jobs import Job, run_jobs
from meta.jobs.records import Record, plain, plain_softness, read_record, write_record
from tasks import MeshSplit, PoseFamily, Split
from tests.forks import Program
from tests.helpers import ROOT
from tests.meta.evaluation.evaluation_cases import PROTOCOL, jobs, softness_file
from tests.meta.learning.problems import PointFamily


@dataclass(frozen=True)
class Touch(Job):
    """Writes a file with the id of its process."""

    path: Path

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.name

    def done(self) -> bool:
        """Whether it is there."""
        return self.path.is_file()

    def run(self) -> None:
        """Write it."""
        self.path.write_text(f"{os.getpid()} {torch.get_num_threads()} {ts.backend()}")


@dataclass(frozen=True)
class Fail(Touch):
    """Cannot write its file."""

    def run(self) -> None:
        """Fail."""
        raise ValueError("the disk is on fire")


@dataclass(frozen=True)
class Die(Touch):
    """Is killed, as by the system when memory runs out; waits for other jobs to be done before."""

    before: tuple[Path, ...]

    def run(self) -> None:
        """Die."""
        while not all(path.is_file() and path.stat().st_size for path in self.before):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)


def touches(folder: Path, *names: str) -> list[Touch]:
    return [Touch(folder / name) for name in names]


def test_jobs_run_once_in_order_and_are_reported(tmp_path):
    found = []
    work = touches(tmp_path, "a", "b", "c")
    (tmp_path / "b").write_text("from before")
    run_jobs(work, on_done=lambda job: found.append(job.name))
    assert found == ["b", "a", "c"]
    assert (tmp_path / "b").read_text() == "from before"
    assert (tmp_path / "a").read_text().startswith(f"{os.getpid()} ")


def test_jobs_need_different_names(tmp_path):
    with pytest.raises(ValueError, match="different names, got a, a"):
        run_jobs(touches(tmp_path, "a", "a"))


def test_a_job_that_fails_names_itself_and_leaves_the_others(tmp_path):
    work = [*touches(tmp_path, "a"), Fail(tmp_path / "b"), *touches(tmp_path, "c")]
    with pytest.raises(RuntimeError, match="b failed: the disk is on fire"):
        run_jobs(work)
    assert [job.done() for job in work] == [True, False, False]


@pytest.mark.cpu_only
def test_workers_are_processes_with_one_thread_and_a_dead_one_is_reported(tmp_path):
    work = [*touches(tmp_path, "a", "b"), Die(tmp_path / "c", (tmp_path / "a", tmp_path / "b"))]
    with pytest.raises(RuntimeError, match=r"a worker process died .* not done: c\. 2 of 3 jobs"):
        run_jobs(work, workers=2)
    for job in work[:2]:
        process, threads, backend = job.path.read_text().split()
        assert int(process) != os.getpid()
        assert (threads, backend) == ("1", "cpu")
    again = [*work[:2], *touches(tmp_path, "c")]
    before = [job.path.read_text() for job in work[:2]]
    run_jobs(again)
    assert all(job.done() for job in again)
    assert [job.path.read_text() for job in work[:2]] == before


@pytest.mark.cpu_only
def test_a_job_that_fails_in_a_process_names_itself(tmp_path):
    with pytest.raises(RuntimeError, match="b failed: the disk is on fire"):
        run_jobs([Fail(tmp_path / "b")], workers=2)


def test_record_round_trip(tmp_path):
    record = Record({"x": torch.arange(3), "y": torch.tensor([[True, False]])}, {"a": [1, None]})
    path = tmp_path / "folder" / "record.safetensors"
    write_record(path, record, {"seed": 1})
    read = read_record(path, {"seed": 1})
    assert read.values == record.values
    assert all(torch.equal(read.tensors[name], record.tensors[name]) for name in "xy")
    assert read_record(path, {"seed": 2}) is None
    assert read_record(tmp_path / "none", {"seed": 1}) is None
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_damaged_record_is_none(tmp_path):
    path = tmp_path / "record.safetensors"
    write_record(path, Record({"x": torch.arange(300)}, {}), {})
    whole = path.read_bytes()
    for cut in (0, 7, 50, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert read_record(path, {}) is None
    path.write_bytes(whole)
    assert read_record(path, {}) is not None


def test_plain_data_tell_families_apart_by_their_meshes():
    meshes = {"a": ts.shapes.mug(), "b": ts.shapes.boot()}
    moved = replace(meshes["a"], vertices=meshes["a"].vertices + 1e-3)
    first, same, other = (
        plain(PoseFamily(meshes=MeshSplit({"a": mesh}, {"b": meshes["b"]})))
        for mesh in (meshes["a"], ts.shapes.mug(), moved)
    )
    assert first == same
    assert first != other
    assert plain(PoseFamily()) != plain(PoseFamily(start_angle=(10.0, 20.0)))


def test_plain_data_refuse_code():
    with pytest.raises(TypeError, match="function"):
        plain(lambda: None)


def test_plain_softness_tells_weights_and_kinds_apart():
    softness = [ts.Softness(ts.MonotoneSpline(scale)) for scale in (0.3, 0.3, 0.4)]
    softness.append(ts.Softness(ts.MonotoneSpline(0.3), ts.Max()))
    found = [plain_softness(each) for each in softness]
    assert found[0] == found[1]
    assert found[0] != found[2]
    assert found[0] != found[3]


def test_what_is_done_is_not_done_again(tmp_path):
    (learned,), _ = jobs(tmp_path, {"learned": 1.0}, fixed=("gaussian",))
    run_jobs([learned])
    evaluation = learned.load()
    stamp = learned.path.stat().st_mtime_ns
    (again,), _ = jobs(tmp_path, {"learned": 1.0}, fixed=("gaussian",))
    run_jobs([again])
    assert again.path.stat().st_mtime_ns == stamp
    reread = again.load()
    assert reread.tuned == evaluation.tuned
    outcomes = [found.outcomes[Split.HELD_OUT] for found in (evaluation, reread)]
    assert torch.equal(outcomes[0].errors, outcomes[1].errors)
    assert outcomes[0].states["x"].shape == (7, 10)


@pytest.mark.parametrize(
    "change",
    [
        {"problems": 9},
        {"seeds": 1},
        {"steps": 39},
        {"scales": (1.0,)},
        {"rates": (1.0,)},
        {"seed": 1},
    ],
    ids=str,
)
def test_another_protocol_is_another_job(tmp_path, change):
    _, (before,) = jobs(tmp_path, {"learned": 1.0}, fixed=("gaussian",))
    protocol = replace(PROTOCOL, **change)
    _, (after,) = jobs(tmp_path, {"learned": 1.0}, fixed=("gaussian",), protocol=protocol)
    assert before.path != after.path


def test_what_matters_is_part_of_a_job_and_what_does_not_is_not(tmp_path):
    first = CandidateJob(
        PointFamily(), softness_file(tmp_path, 1.0), PROTOCOL, (Split.HELD_OUT,), tmp_path
    )
    path = first.path
    other_scale = softness_file(tmp_path, 1.1)
    assert replace(first, candidate=other_scale).path != path
    (tmp_path / "elsewhere").mkdir()
    same = softness_file(tmp_path / "elsewhere", 1.0)
    ts.Softness.load(same.path).save(same.path, trained={"by": "somebody else"})
    assert replace(first, candidate=same).path == path
    assert replace(first, splits=(Split.HELD_OUT, Split.TRAIN)).path != path
    assert replace(first, family=_Other()).path != path
    solves_otherwise = _LearnsAlong(**vars(first.candidate))
    assert replace(first, candidate=solves_otherwise).path != path


def test_hash_of_code_changes_with_what_it_does_alone(tmp_path):
    source = '"""Text."""\n\n\ndef f(x):\n    """More text."""\n    return x + 1\n'
    explained = source.replace("Text", "Other text").replace("    return", "    # Why.\n    return")
    other = source.replace("+ 1", "+ 2")
    found = []
    for index, text in enumerate((source, explained, other)):
        (tmp_path / str(index)).mkdir()
        path = tmp_path / str(index) / "module.py"
        path.write_text(text)
        module = ModuleType("module")
        module.__file__ = str(path)
        found.append(code_digest((module,)))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_hash_of_code_is_the_same_after_a_move(tmp_path):
    """Functions that go to another file, and imports that follow them, change no record."""
    function, other = "def f(x):\n    return x + 1\n", "def g(x):\n    return x * 2\n"
    typed = "if TYPE_CHECKING:\n    from b import T\n"
    houses = (
        {"one.py": f"import a\nfrom b import c\n{function}{other}"},
        {"one.py": f"{typed}{other}", "room/two.py": f"from d import c\n{function}"},
        {"one.py": f"import a\n{function}{other.replace('2', '3')}"},
    )
    found = []
    for index, files in enumerate(houses):
        package = ModuleType("package")
        package.__file__ = str(tmp_path / str(index) / "__init__.py")
        for name, text in {"__init__.py": "", **files}.items():
            path = tmp_path / str(index) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        found.append(code_digest((package,)))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_records_depend_on_the_renderer():
    """A changed kernel may not go on with records of the old one."""
    files = {path for module in CODE for path in _files(module)}
    kernels = ROOT / "taichisoft" / "engine" / "kernels"
    assert set(kernels.glob("*.py")) <= files
    assert {ROOT / "tasks" / "pose.py", ROOT / "taichisoft" / "render" / "rasterizer.py"} <= files


def test_hash_of_a_package_is_that_of_its_modules(tmp_path):
    package = ModuleType("package")
    package.__file__ = str(tmp_path / "__init__.py")
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "part.py").write_text("x = 1")
    before = code_digest((package,))
    code_digest.cache_clear()
    assert code_digest((package,)) == before
    (tmp_path / "part.py").write_text("x = 2")
    code_digest.cache_clear()
    assert code_digest((package,)) != before


def test_hash_of_a_package_leaves_out_programs_below_it(tmp_path):
    """A program beside the task families changes no record of theirs."""
    package = ModuleType("package")
    package.__file__ = str(tmp_path / "__init__.py")
    (tmp_path / "__init__.py").write_text("x = 1")
    before = code_digest((package,))
    (tmp_path / "program" / "part").mkdir(parents=True)
    for name in ("__main__.py", "__init__.py", "part/module.py"):
        (tmp_path / "program" / name).write_text("y = 2")
    code_digest.cache_clear()
    assert code_digest((package,)) == before
    (tmp_path / "program" / "__main__.py").unlink()
    code_digest.cache_clear()
    assert code_digest((package,)) != before


class _Other(PointFamily):
    pass


class _LearnsAlong(Learned):
    code = (statistics,)


KILLED = """
from pathlib import Path
from meta.jobs.jobs import run_jobs
from tests.meta.evaluation.evaluation_cases import jobs
learned, fixed = jobs(Path(FOLDER), {"learned": 1.0})
run_jobs([*learned, *fixed], on_done=lambda job: print(job.name, flush=True))
"""


@pytest.mark.cpu_only
def test_killed_evaluation_keeps_what_is_done(tmp_path):
    process = Program(f"FOLDER = {str(tmp_path)!r}\n{KILLED}", dict(os.environ))
    assert process.said() == "pose learned"
    process.signal(signal.SIGKILL)
    process.finished()
    learned, fixed = jobs(tmp_path, {"learned": 1.0})
    work = [*learned, *fixed]
    kept = {job.name: job.path.stat().st_mtime_ns for job in work if job.done()}
    assert "pose learned" in kept
    run_jobs(work)
    assert all(job.done() for job in work)
    assert all(job.path.stat().st_mtime_ns == kept[job.name] for job in work if job.name in kept)
