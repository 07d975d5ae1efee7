# AttentionZoo. `make run` sweeps the zoo, `make test` proves it; both install OpenBLAS when it is missing.

SWIFT ?= swift
PYTHON ?= python3
MODEL := Models/all-MiniLM-L6-v2
RESULTS := bench-results
ZOO := .build/release/zoo
PEERS := Benchmarks/Peers/.peers
# Root needs no sudo, and a container often has none.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Homebrew keeps OpenBLAS out of the usual places.
ifeq ($(shell uname -s),Darwin)
export PKG_CONFIG_PATH := $(shell brew --prefix openblas 2>/dev/null)/lib/pkgconfig:$(PKG_CONFIG_PATH)
endif

.PHONY: help run test build lint format model docs bench bench-update bench-peers bench-docs bench-engine \
	bench-engine-docs bench-server bench-quantized roofline quantise-docs clean openblas

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | \
		awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

# Every operator on short cases, then softmax attention proper on long ones: all on all would take a quarter of an hour.
EXACT := full,memory-efficient,flash,grouped-query,local,block-sparse

run: build ## build, check and time every operator: tables, JSON lines and a report in bench-results/
	@mkdir -p $(RESULTS)
	$(ZOO) bench --preset quick --json $(RESULTS)/quick.jsonl --html $(RESULTS)/quick.html
	$(ZOO) bench --operators $(EXACT) --json $(RESULTS)/zoo.jsonl --html $(RESULTS)/zoo.html

test: openblas ## run the whole test suite
	ZOO_TUNING=off $(SWIFT) test -c release
	PYTHON=$(PYTHON) Tests/Server/run.sh

build: openblas ## build the command line
	$(SWIFT) build -c release --product zoo

lint: ## check the style of every Swift file
	$(SWIFT) format lint --strict -r Package.swift Sources Tests Plugins Examples \
		Benchmarks/Package.swift Benchmarks/Benchmarks

format: ## bring every Swift file into style
	$(SWIFT) format -i -r Package.swift Sources Tests Plugins Examples Benchmarks/Package.swift Benchmarks/Benchmarks

model: ## fetch all-MiniLM-L6-v2 (90 MB) into Models/
	Tests/Fixtures/minilm/fetch_model.sh $(MODEL)

docs: build ## write docs/operators/ from the operators' own declarations
	$(ZOO) docs --directory docs/operators

THRESHOLDS := $(CURDIR)/Benchmarks/Thresholds

bench: openblas ## compare every operator with the ratios to the peak that are committed in Benchmarks/Thresholds
	$(SWIFT) package --package-path Benchmarks benchmark thresholds check --path $(THRESHOLDS) --no-progress

bench-update: openblas ## write those ratios anew, after a change that was meant
	$(SWIFT) package --package-path Benchmarks --allow-writing-to-directory $(THRESHOLDS) \
		benchmark thresholds update --path $(THRESHOLDS) --no-progress

bench-peers: build ## set up PyTorch, ONNX Runtime and ggml, and time them and the zoo alternately
	PYTHON=$(PYTHON) Benchmarks/Peers/setup.sh
	@mkdir -p $(RESULTS)
	$(PEERS)/venv/bin/python Benchmarks/Peers/bench_peers.py --zoo $(ZOO) --json $(RESULTS)/peers.jsonl

bench-engine: build ## set up llama.cpp, time it and the engine alternately, and count the engine's pages
	PYTHON=$(PYTHON) Benchmarks/Peers/setup.sh engine
	@mkdir -p $(RESULTS)
	$(PEERS)/venv/bin/python Benchmarks/Peers/engine_peers.py --zoo $(ZOO) --json $(RESULTS)/engine.jsonl

# Short cases for every operator, long ones for the exact and sparse: decoding measures the read roof.
ROOFLINE := $(PYTHON) Benchmarks/Peers/roofline.py $(RESULTS)/roofline-quick.jsonl $(RESULTS)/roofline-long.jsonl

roofline: build ## time operators for the roofline pictures, and draw them into bench-results/
	@mkdir -p $(RESULTS)
	$(ZOO) bench --preset quick --seconds 30 --json $(RESULTS)/roofline-quick.jsonl
	$(ZOO) bench --preset lengths,causal,gqa,decode,window,sparse --operators $(EXACT) --seconds 120 \
		--json $(RESULTS)/roofline-long.jsonl
	$(ROOFLINE) --presets quick --svg $(RESULTS)/roofline-all.svg
	$(ROOFLINE) --families exact,sparse --presets lengths,causal,gqa,decode,window,sparse \
		--before Benchmarks/Peers/roofline-before.jsonl --svg $(RESULTS)/roofline-exact.svg

bench-docs: ## put the results of bench-peers and roofline into docs/
	$(PEERS)/venv/bin/python Benchmarks/Peers/peer_tables.py $(RESULTS)/peers.jsonl --into docs/benchmarks.md
	$(PEERS)/venv/bin/python Benchmarks/Peers/plot.py $(RESULTS)/peers.jsonl --svg docs/images/peak.svg
	cp $(RESULTS)/roofline-all.svg $(RESULTS)/roofline-exact.svg docs/images/

bench-engine-docs: ## put the results of bench-engine into docs/
	$(PEERS)/venv/bin/python Benchmarks/Peers/engine_tables.py $(RESULTS)/engine.jsonl --into docs/benchmarks.md

bench-server: build ## time zoo's server and llama.cpp's alternately on the same weights, into docs/
	PYTHON=$(PYTHON) Benchmarks/Peers/setup.sh engine
	@mkdir -p $(RESULTS)
	$(PEERS)/venv/bin/python Benchmarks/Peers/server_peers.py --zoo $(ZOO) --json $(RESULTS)/server.jsonl \
		--into docs/benchmarks.md

quantise-docs: build ## quantise the model that comes with zoo by every method, and put perplexity against bits into docs/
	$(PYTHON) Benchmarks/Peers/perplexity_sweep.py --zoo $(ZOO) --folder $(RESULTS)/quantised \
		--svg docs/images/quantise.svg --into docs/quantisation.md
	$(PYTHON) Benchmarks/Peers/perplexity_sweep.py --zoo $(ZOO) --folder $(RESULTS)/quantised-random --random \
		--into docs/quantisation.md

bench-quantized: build ## time weights of four bits and llama.cpp's Q4_0 and Q4_K_M alternately, into docs/
	PYTHON=$(PYTHON) Benchmarks/Peers/setup.sh engine
	@mkdir -p $(RESULTS)
	$(PEERS)/venv/bin/python Benchmarks/Peers/quantized_peers.py --zoo $(ZOO) --json $(RESULTS)/quantized.jsonl \
		--into docs/benchmarks.md

clean: ## remove what builds and sweeps have made
	rm -rf .build Benchmarks/.build $(RESULTS) $(PEERS)

openblas:
	@if pkg-config --exists openblas 2>/dev/null || dpkg -s libopenblas-dev >/dev/null 2>&1; then \
		true; \
	elif [ "$$(uname -s)" = Darwin ]; then \
		brew install openblas; \
	elif command -v apt-get >/dev/null; then \
		echo "installing libopenblas-dev"; \
		$(SUDO) apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq libopenblas-dev; \
	else \
		echo "OpenBLAS is missing: install its development package, with its pkg-config file" >&2; exit 1; \
	fi
