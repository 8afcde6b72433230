# make demo          set up and run the batch job on the embedded sample
# make demo-stream   images of the sample arrive in a folder, and are sealed window by window; under a minute
# make test          set up and pass every test that Python alone can run
# make test-engines  the tests that need Prism, Flink, Go, Java, gcloud or chromium, an installation of their own, and the benchmarks in small; a quarter of an hour
# make test-pythons  the tests on each supported Python that is installed
# make bench         the comparisons of benchmarks/, some minutes
# make lint package  what CI checks beside the tests

PYTHON ?= python3
BIN := .venv/bin
ENGINES := engines
BEAM := 2.77.0

.PHONY: demo demo-stream test test-long test-engines test-pythons engines lint requirements package bench soak bench-engines clean

demo: .venv/ready
	$(BIN)/tuneset demo demo

demo-stream: .venv/ready
	$(BIN)/tuneset demo demo --stream

test: .venv/ready
	$(BIN)/python -m pytest -q -n 2 -m "not engines"

test-long: .venv/ready  # the slow proofs in their long form
	TUNESET_LONG=1 $(BIN)/python -m pytest -q -n 2 -m "not engines"

test-pythons:  # the suite on each supported Python that is installed
	@export PYENV_VERSION=$$(pyenv versions --bare 2>/dev/null | paste -sd: -); \
	for python in python3.10 python3.11 python3.12 python3.13; do \
	  $$python -c '' 2>/dev/null || { echo "$$python: not installed"; continue; }; \
	  echo "$$python: in .venv-$$python"; \
	  { test -x .venv-$$python/bin/python || $$python -m venv .venv-$$python; } \
	  && .venv-$$python/bin/python -m pip install -q --disable-pip-version-check -e '.[test]' \
	  && .venv-$$python/bin/python -m pytest -q -n 2 -m "not engines" || exit 1; \
	done

test-engines: .venv/ready engines
	$(BIN)/python -m pytest -q -m engines

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

requirements: .venv/dev  # the template image's pinned packages, anew
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" \
	  --output-file dataflow_templates/requirements.txt setup.py dataflow_templates/requirements.in

package: .venv/dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

bench: .venv/ready
	for script in text_scale findings split_by_image small_files local_images urls storage nightly seal readers formats fit stream; do $(BIN)/python benchmarks/$$script.py || exit 1; done

soak: .venv/ready  # 20 minutes of a stream at 50 arrivals a second: memory stays flat
	$(BIN)/python benchmarks/stream.py --rates 50 --seconds 1200 --windows 0 --strict

bench-engines: .venv/ready engines
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/allocators.py

engines: $(ENGINES)/prism $(ENGINES)/boot $(ENGINES)/flink/ready

# What a container's worker is started by: Flink's PROCESS environment starts it without a container.
$(ENGINES)/boot:
	@command -v go >/dev/null || { echo "make test-engines needs Go (for Beam's boot program): it is not installed"; exit 1; }
	GOBIN=$(abspath $(ENGINES))/bin GOFLAGS=-modcacherw go install github.com/apache/beam/sdks/v2/python/container@v$(BEAM)
	mv $(ENGINES)/bin/container $@

$(ENGINES)/prism:
	@command -v go >/dev/null || { echo "make test-engines needs Go (for Prism): it is not installed"; exit 1; }
	GOBIN=$(abspath $(ENGINES)) GOFLAGS=-modcacherw go install github.com/apache/beam/sdks/v2/go/cmd/prism@v$(BEAM)

$(ENGINES)/flink/ready: tests/support/flink-pom.xml
	@command -v mvn >/dev/null || { echo "make test-engines needs Maven and Java (for Flink): mvn is not installed"; exit 1; }
	mkdir -p $(ENGINES)/flink
	mvn -q -B -f tests/support/flink-pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(abspath $(ENGINES))/flink/lib
	touch $@

.venv/ready: setup.py
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 10) <= v <= (3, 13) and f"Tuneset needs Python 3.10 to 3.13; $(PYTHON) is {v[0]}.{v[1]}. Try: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[test]'
	touch $@

.venv/dev: .venv/ready
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-* demo dist build *.egg-info $(ENGINES)
