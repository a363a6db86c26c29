# ccbt: a BitTorrent seedbox daemon for Linux.
#
#   make setup      install what a bare Debian 12 with a Swift toolchain lacks (quick when nothing is missing)
#   make build      debug build of everything
#   make release    optimised build of the programs, in .build/release
#   make run        a daemon in the foreground, state in .run/ (ARGS='--listen 0.0.0.0:64122' adds options)
#   make demo       the main job end to end, to look at: create, seed, download, verify, worker table
#   make test       unit tests on io_uring and on epoll, 200 simulation seeds, slices of interop and chaos
#   make sim        the deterministic simulator: SEED=n for one seed, SEEDS=n for the first n (200)
#   make dht-sim    DHT nodes that come and go: how lookups and traffic grow from 100 to 10,000 (SIZES='100 500')
#   make fuzz-api   schemathesis against /api/v1 of a running daemon (ARGS='--examples 1000 --only torrents')
#   make interop-clients  tewi, stig, aiobtclientapi, qbit-manage, FlexGet and an exporter against the HTTP APIs
#   make fuzz       every parser's fuzz target for TIME seconds each (600); TARGET=name for one
#   make chaos      kill, stop, fill the disk, damage files under real transfers (4 GiB)
#   make interop    against libtorrent, transmission, qbittorrent, aria2, rtorrent and librqbit (1 GiB, 2,000 files)
#   make bench      throughput and CPU beside other clients (BENCH_DIR: folder of the measuring scripts), heap calls a block
#   make bench-api  the HTTP API and its page with 10,000 torrents, 500 requests/s for 60 s; qbittorrent-nox beside it
#   make protocol   IPC codecs, golden vectors and tables from protocol/*.schema
#   make lint       format and tidy checks
#   make format     apply the format
#   make dist       the programs, unit file and sample configuration as dist/ccbt-VERSION.tar.gz
#   make clean      remove what was built
#
# ARGS passes more options to the scripts: make interop ARGS='--clients aria2 --mib 64'.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: setup build release run demo test unit sim dht-sim fuzz fuzz-api chaos interop interop-clients setup-clients bench bench-api protocol lint format dist clean slices

# Cross-module optimisation makes small functions of the lower layers inline into the workers.
RELEASE := -c release -Xswiftc -cross-module-optimization
PYTHON := .venv/bin/python
SYSTEM := liburing-dev libminiupnpc-dev libssl-dev libsqlite3-dev libcurl4-openssl-dev zlib1g-dev libxml2-dev python3-venv iproute2 util-linux
COUNTERPARTS := tmux transmission-daemon transmission-cli qbittorrent-nox aria2 rtorrent opentracker microsocks dante-server tinyproxy nginx-light nftables miniupnpd-nftables chromium
LIBTORRENT := 2.1.1
RQBIT := 0.1.0
API_CLIENTS := qbittorrent-api transmission-rpc playwright aiosmtpd
PROGRAMS := ccbt btbt ccbtd ccbt-session ccbt-peer ccbt-disk ccbt-discovery ccbt-api
SEEDS ?= 200
TIME ?= 600
ARGS ?=
BENCH_DIR ?= ../shared/bench

setup:
	@missing=$$(for p in $(SYSTEM) $(COUNTERPARTS); do \
	    dpkg -s $$p 2>/dev/null | grep -q '^Status: install ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	    echo "setup: installing" $$missing; \
	    sudo=$$([ $$(id -u) = 0 ] || echo sudo); \
	    $$sudo apt-get -qq -o DPkg::Lock::Timeout=500 update; \
	    DEBIAN_FRONTEND=noninteractive $$sudo apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=500 install $$missing > /dev/null; \
	fi
	@$(PYTHON) -c 'import libtorrent; assert libtorrent.__version__.startswith("$(LIBTORRENT)")' 2>/dev/null || { \
	    echo "setup: installing libtorrent $(LIBTORRENT) into .venv"; \
	    python3 -m venv .venv; \
	    .venv/bin/pip install -q --disable-pip-version-check libtorrent==$(LIBTORRENT); }
	@$(PYTHON) -c 'import pyrqbit' 2>/dev/null || .venv/bin/pip install -q --disable-pip-version-check pyrqbit==$(RQBIT) || \
	    echo "setup: no pyrqbit $(RQBIT) for this machine; its rows are left out"
	@$(PYTHON) -c 'import qbittorrentapi, transmission_rpc, playwright, aiosmtpd' 2>/dev/null || { \
	    echo "setup: installing the APIs' clients and the browser's driver into .venv"; \
	    .venv/bin/pip install -q --disable-pip-version-check $(API_CLIENTS); }

# Programs that speak to the HTTP APIs, each in an environment of its own, with every package in the version that was tried.
setup-clients: setup
	@failed=0; for f in Tests/Interop/venvs/*.txt; do at=.venv-clients/$$(basename $$f .txt); \
	    cmp -s $$f $$at/installed && continue; \
	    echo "setup: installing $$(basename $$f .txt) into $$at"; rm -rf $$at; python3 -m venv $$at; \
	    if $$at/bin/pip install -q --disable-pip-version-check --no-deps -r $$f; then cp $$f $$at/installed; else failed=1; fi; done; exit $$failed

build:
	swift build

release: setup
	CCBT_ONLY=$$(echo $(PROGRAMS) | tr ' ' ,) swift build $(RELEASE)

run: release
	.build/release/ccbtd --foreground --state-dir $(CURDIR)/.run $(ARGS)

demo: release
	$(PYTHON) Tests/Demo/demo.py $(ARGS)

# One debug build serves both back-ends. The simulation's seeds run among the unit tests.
test: setup
	Tests/run-all

# The unit tests alone: make unit TARGETS='SwarmTests PiecesTests' for some of them.
unit:
	CCBT_SIM_SEEDS=$(SEEDS) Tests/run-all unit $(TARGETS)

sim:
	swift build $(RELEASE) --product ccbt-sim
	.build/release/ccbt-sim $(if $(SEED),--seed $(SEED),--seeds 1..$(SEEDS)) $(ARGS)

dht-sim:
	swift build $(RELEASE) --product ccbt-dht-sim
	.build/release/ccbt-dht-sim $(SIZES)

fuzz:
	Tests/Fuzz/run "$(TIME)" $(TARGET)

fuzz-api: release setup-clients
	$(PYTHON) Tests/Interop/api_fuzz.py $(ARGS)

interop-clients: release setup-clients
	$(PYTHON) Tests/Interop/api_clients.py $(ARGS)

chaos: release
	$(PYTHON) Tests/Chaos/chaos.py $(ARGS)

interop: release interop-clients
	$(PYTHON) Tests/Interop/interop.py $(ARGS)
	$(PYTHON) Tests/Interop/swarm_features.py
	$(PYTHON) Tests/Interop/session.py
	$(PYTHON) Tests/Interop/encryption.py
	$(PYTHON) Tests/Interop/limits.py
	$(PYTHON) Tests/Interop/proxies.py
	$(PYTHON) Tests/Interop/api.py
	$(PYTHON) Tests/Interop/web.py
	$(PYTHON) Tests/Interop/filter.py
	$(PYTHON) Tests/Interop/webseed.py
	$(PYTHON) Tests/Interop/version2.py
	$(PYTHON) Tests/Interop/dht.py
	$(PYTHON) Tests/Interop/utp.py
	$(PYTHON) Tests/Interop/holepunch.py
	$(PYTHON) Tests/Interop/scrape.py
	$(PYTHON) Tests/Interop/lsd.py
	$(PYTHON) Tests/Interop/nat.py

bench: release
	CCBT_BIN=$(CURDIR)/.build/release $(PYTHON) Tests/Benchmarks/bench.py --bench-dir '$(BENCH_DIR)' $(ARGS)
	$(PYTHON) Tests/Benchmarks/allocations.py

bench-api: release
	CCBT_BIN=$(CURDIR)/.build/release $(PYTHON) Tests/Benchmarks/api.py $(ARGS)

protocol:
	python3 protocol/generate.py

# Formats of generated files are the generator's.
lint:
	swift format lint --strict --recursive --parallel Sources Tests Package.swift
	swift test --filter TidyTests

format:
	swift format --in-place --recursive --parallel Sources Tests Package.swift

dist: release
	@version=$$(.build/release/ccbt --version); name=ccbt-$$version; \
	rm -rf dist/$$name; mkdir -p dist/$$name/bin; \
	for p in $(PROGRAMS); do install -m 755 .build/release/$$p dist/$$name/bin/; strip dist/$$name/bin/$$p; done; \
	mkdir -p dist/$$name/share/ccbt; cp -r Sources/Workers/APIWorker/Web dist/$$name/share/ccbt/web; \
	cp -r deploy dist/$$name/; cp README.md LICENSE dist/$$name/; \
	tar -C dist -czf dist/$$name.tar.gz $$name; \
	echo "dist/$$name.tar.gz"

clean:
	rm -rf .build .build-fuzz dist .run
