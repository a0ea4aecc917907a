# `make run` answers a prompt with a real model; `make test` builds and tests. `make help` lists all.

SHELL := /bin/bash
SWIFT ?= swift
PROMPT ?= What is the capital of France? Answer in one sentence.
# Importing a target that Package.swift does not declare is an error: the layers stay layers.
CHECKED := -c release --explicit-target-dependency-import-check error
YUYAN := .build/release/yuyan
MINUTES ?= 10
CLIENTS ?= 64
# Tests see internals, and a target says so to its compiler (Package.swift). Other flags are the same,
# so the packages are built once, in one folder, for `make build` and `make test`.
# Tests that compute keep the two threads of a small machine busy for minutes. So only some are begun at
# a time, and those of the server, whose answers would wait behind them, have a process of their own.
TESTABLE := YUYAN_TESTABLE=1 SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=16 $(SWIFT)
TEST := test $(CHECKED) --skip-build

# Ends with one line if the program $1 is missing; $2 says where to get it.
need = $(if $(shell command -v $1),,$(error $1 is missing: $2))

.DEFAULT_GOAL := help
.PHONY: help run build model test test-models lint fuzz check-neon page goldens bench-peers \
        bench-serve bench-train bench-align test-clients test-page soak clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

run: build model ## Build, fetch SmolLM2-135M, answer PROMPT; on a terminal stay in chat
	@printf "> %s\n" "$$PROMPT"
	@$(YUYAN) generate --model smollm2-135m --prompt "$$PROMPT" --max-tokens 128
	@if [ -t 0 ] && [ -t 1 ]; then $(YUYAN) chat --model smollm2-135m; fi

build: .need-swift ## Build the release binary, .build/release/yuyan
	@$(SWIFT) build $(CHECKED) --product yuyan

model: ## Fetch SmolLM2-135M-Instruct into YUYAN_HOME, by default ~/.cache/yuyan
	@scripts/fetch-model smollm2-135m

test: .testable ## Build and run all tests in release configuration
	@$(TESTABLE) $(TEST) --skip YuyanServeTests
	@$(TESTABLE) $(TEST) --filter YuyanServeTests

test-models: .testable ## Run the tests that want the Qwen2.5-Coder models too
	@scripts/fetch-model smollm2-135m
	@scripts/fetch-model qwen2.5-coder-0.5b
	@scripts/fetch-model qwen2.5-coder-1.5b
	@YUYAN_MODEL_TESTS=1 $(TESTABLE) $(TEST)

lint: .need-swift ## Check the format of all Swift files
	@$(SWIFT) format lint --strict --recursive Package.swift Sources Tests

fuzz: .testable ## Send 1,000,000 damaged inputs (YUYAN_FUZZ) through the readers
	@YUYAN_FUZZ=$${YUYAN_FUZZ:-1000000} $(TESTABLE) $(TEST) --filter FuzzTests

check-neon: ## Check that the NEON kernels compile, on any machine with clang
	$(call need,clang,it comes with Swift; Debian: apt-get install clang)
	clang --target=aarch64-linux-gnu -O2 -std=c11 -Wall -Werror -ffreestanding \
	    -ISources/CYuyanKernels/include -fsyntax-only Sources/CYuyanKernels/neon.c

page: ## Put the page's files into Sources/YuyanServe/HTTP/WebAssets.swift
	@Tools/embed_web.py

goldens: ## Check the reference data against its manifest
	@cd Tests/Goldens && sha256sum --check --quiet --strict MANIFEST.sha256 && \
	    echo "$$(wc -l < MANIFEST.sha256) files as in the manifest"

bench-peers: build model ## Compare the speed with llama.cpp, built here, and with PyTorch
	@scripts/bench-peers
	@scripts/bench-train

bench-serve: build model ## Compare `yuyan serve` with llama-server, built here
	@scripts/bench-serve

bench-train: build model ## Compare `yuyan train` with PyTorch, transformers and peft
	@scripts/bench-train

bench-align: build model ## Compare alignment with trl
	@scripts/bench-align

test-clients: build model ## Point openai, anthropic, langchain, lm-eval and others at the server
	@python=$$(scripts/client-venv) && cd Tools/clients && \
	    YUYAN="$(abspath $(YUYAN))" $$python -m pytest $(PYTEST)

test-page: build model ## Drive the page in headless Chromium; screenshots go to SCREENSHOTS
	@node --test Tools/web/ && YUYAN="$(abspath $(YUYAN))" scripts/test-page $(SCREENSHOTS)

soak: build model ## Ten minutes (MINUTES) of 64 clients (CLIENTS) that misbehave
	@python3 Tools/load/soak.py --yuyan $(YUYAN) --minutes $(MINUTES) --clients $(CLIENTS)

clean: ## Remove what was built
	@rm -rf .build

.PHONY: .testable
.testable: .need-swift
	@$(TESTABLE) build $(CHECKED) --build-tests

.PHONY: .need-swift
.need-swift:
	$(call need,$(firstword $(SWIFT)),install Swift 6.2 or later from https://www.swift.org/install)

export PROMPT
