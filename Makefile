# The kernels use all cores through Taichi; torch's tensors here are too small to share among threads.
export OMP_NUM_THREADS ?= 1

# Each target installs what it needs into .venv by itself.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
RUN    ?= runs/$(shell date +%Y%m%d-%H%M%S)
TRAIN  ?=
DEMO   ?= taichisoft-demo
# A last option counts, so that TRAIN may say otherwise.
JUDGED := --validation-problems 32 --validation-every 6
# More options of `make results`, as --out elsewhere.
RESULTS ?=
# Processes that run tests, and threads of the kernels in each: one thread would hide what threads do to each other.
WORKERS ?= 2
# Random scenes and damaged files of a long fuzzing.
SCENES  ?= 2000
SHARE   := TI_CPU_MAX_NUM_THREADS=2 QD_CPU_MAX_NUM_THREADS=2
# Of ten: there is no address of an author to state.
PYROMA  := 8
SPOT   ?= ../shared/data/spot.obj
# The backend of `make gpu`, and what else it is to be told (--minutes 20, --quick).
GPU     ?= cuda
GPU_RUN ?=
GPU_OUT := results/gpu$(if $(filter cuda,$(GPU)),,-$(GPU)).json
# A folder of wheels, from which all is installed without a network.
WHEELS ?=
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PIP    += $(if $(WHEELS),--no-index --find-links $(abspath $(WHEELS)))

.PHONY: demo train results compiled test fuzz test-bounds test-quadrants test-quadrants-short test-vulkan test-vulkan-all lint docs docs-pictures bench gpu notebooks package installed clean
.DELETE_ON_ERROR:

demo: $(VENV)/demo.stamp  ## find a pose and a shape, compare a learned softness with fixed ones: three pictures in DEMO, within a minute
	@$(BIN)/python -m taichisoft demo --out $(DEMO)

train:  ## meta-train a softness, compare it with fixed ones on unseen problems, write a page about it; says how long it takes
	@echo "1/3 installing into $(VENV): the first time minutes, to fetch PyTorch"
	@$(MAKE) --no-print-directory $(VENV)/train.stamp
	@$(BIN)/python -m meta.pipeline --out $(RUN) $(JUDGED) $(TRAIN)

results: $(VENV)/train.stamp  ## train and evaluate all that is published, into results/ (hours; goes on where stopped)
	$(BIN)/python -m meta.results $(RESULTS)

compiled: $(VENV)/test.stamp  ## compile the kernels that most tests need
	$(SHARE) $(BIN)/python -m tests.compiled

test: compiled  ## run all tests, side by side
	$(SHARE) $(BIN)/python -m pytest -n $(WORKERS)

fuzz: $(VENV)/test.stamp  ## hold random scenes and damaged files against independent oracles (make fuzz SCENES=20000)
	$(SHARE) FUZZ_SCENES=$(SCENES) $(BIN)/python -m pytest tests/fuzz -n $(WORKERS)

test-bounds: $(VENV)/test.stamp  ## run tests of the kernels with checked array bounds
	$(BIN)/python -m tests.elsewhere bounds

test-quadrants: $(VENV)/test.stamp $(VENV)/quadrants.stamp  ## run all tests with quadrants in the place of Taichi
	$(SHARE) TAICHISOFT_ENGINE=quadrants $(BIN)/python -m tests.compiled
	$(SHARE) TAICHISOFT_ENGINE=quadrants $(BIN)/python -m pytest -n $(WORKERS)

test-quadrants-short: $(VENV)/test.stamp $(VENV)/quadrants.stamp  ## run some tests of the kernels with quadrants
	$(SHARE) TAICHISOFT_ENGINE=quadrants $(BIN)/python -m tests.elsewhere quadrants

test-vulkan: $(VENV)/test.stamp  ## run the tests of the engine on Vulkan, in float32
	$(BIN)/python -m tests.elsewhere vulkan

test-vulkan-all: $(VENV)/test.stamp  ## run on Vulkan what does not need float64: all but a few hundred of the tests (half an hour)
	TAICHISOFT_BACKEND=vulkan $(BIN)/python -m pytest -m "not cpu_only"

lint: $(VENV)/lint.stamp  ## check formatting, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/docs.stamp  ## build the documentation into site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-pictures: $(VENV)/pictures.stamp  ## draw the pictures of the pages and of the gallery anew, and print the numbers that the pages quote
	$(BIN)/python docs/pictures.py
	$(BIN)/python docs/gallery.py

bench: $(VENV)/train.stamp $(VENV)/bench.stamp $(VENV)/quadrants.stamp  ## time the rasterizer next to its peers, and all that is in results/ about speed
	$(BIN)/python -m benchmarks.bench
	$(BIN)/python -m benchmarks.backends
	$(BIN)/python -m benchmarks.engines
	$(BIN)/python -m benchmarks.start_up
	$(BIN)/python -m benchmarks.workloads $(if $(wildcard $(SPOT)),--mesh $(SPOT))
	$(BIN)/python -m benchmarks.profile_step $(if $(wildcard $(SPOT)),--mesh $(SPOT))
	$(BIN)/python -m benchmarks.kernels
	$(BIN)/python -m benchmarks.scaling

gpu:  ## on a CUDA device: which tests pass, times next to peers, launches, memory, in eight minutes (make gpu GPU=vulkan: without one)
	$(PYTHON) benchmarks/gpu/driver.py $(GPU)
	$(MAKE) --no-print-directory $(VENV)/gpu.stamp
	$(BIN)/python -m benchmarks.gpu --backend $(GPU) --out $(GPU_OUT) $(GPU_RUN)

notebooks: $(VENV)/test.stamp  ## execute all notebooks and write their outputs (about ten minutes)
	$(BIN)/python -m notebooks.execute

package: $(VENV)/package.stamp  ## build wheel and sdist, check both; install the wheel into an empty environment of PYTHON, and use it there
	rm -rf dist build/package
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/pyroma --min $(PYROMA) dist/*.tar.gz
	$(PYTHON) -m venv build/package
	build/package/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt dist/*.whl
	cd build && package/bin/python ../tests/documents/smoke.py

installed: $(VENV)/lint.stamp $(VENV)/docs.stamp $(VENV)/test.stamp $(VENV)/quadrants.stamp  ## install what lint, docs and all tests need

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist site

$(VENV)/made.stamp:
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 10) <= v < (3, 15) else f"Python 3.10-3.14 is needed, {sys.executable} is {v.major}.{v.minor}; say make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/demo.stamp: $(VENV)/made.stamp pyproject.toml constraints.txt
	$(PIP) --editable .
	touch $@

$(VENV)/train.stamp: $(VENV)/made.stamp pyproject.toml constraints.txt
	$(PIP) --editable '.[train]'
	touch $@

$(VENV)/pictures.stamp: $(VENV)/made.stamp pyproject.toml constraints.txt
	$(PIP) --editable '.[train,large-steps]'
	touch $@

$(VENV)/test.stamp: $(VENV)/made.stamp pyproject.toml constraints.txt
	$(PIP) --editable '.[train,test,bench,notebooks]'
	touch $@

$(VENV)/gpu.stamp: $(VENV)/made.stamp pyproject.toml constraints.txt
	$(PIP) --editable '.[train,test]'
	touch $@

$(VENV)/quadrants.stamp: $(VENV)/made.stamp pyproject.toml constraints.txt
	$(PIP) --editable '.[quadrants]' || { echo 'quadrants cannot be installed here: it has wheels for Python 3.10-3.14 on Linux (x86-64, ARM), Windows and Macs with Apple processors; this is' "$$($(BIN)/python -VV)" >&2; exit 1; }
	touch $@

$(VENV)/package.stamp: $(VENV)/made.stamp pyproject.toml constraints.txt
	$(PIP) --editable '.[package]'
	touch $@

$(VENV)/bench.stamp: $(VENV)/made.stamp pyproject.toml constraints.txt
	$(PIP) --editable '.[bench]'
	touch $@

$(VENV)/docs.stamp: $(VENV)/made.stamp pyproject.toml constraints.txt
	$(PIP) --editable '.[docs]'
	touch $@

$(VENV)/lint.stamp: $(VENV)/made.stamp pyproject.toml constraints.txt
	$(PIP) --editable '.[train,lint]' 'mypy==2.4.1' 'ruff==0.17.6'
	touch $@
