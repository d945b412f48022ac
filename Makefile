# On a fresh Debian machine, as root: `make demo` and `make test` do everything.
SHELL := /bin/bash
CACHE := $(or $(PULLFUSE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pullfuse)
RIG   := target/debug/rig
# The same words everywhere, or cargo builds the dependencies anew with other features.
BUILD := cargo build --workspace --all-targets

.PHONY: help demo test lint audit qemu chaos fuzz soak transcript rig rig-stop image plugin licences sbom clean

help:
	@echo 'make demo      show the main job on a real node (sets up what is missing)'
	@echo 'make test      run every check and test (sets up what is missing)'
	@echo 'make qemu      the capture and a real containerd on other kernels, in virtual machines'
	@echo 'make chaos     every fault many times, on real nodes, and a table of them'
	@echo 'make fuzz      look for bytes that break a reader: a minute each, or SECONDS=600'
	@echo 'make soak      twenty minutes of churn on a real node'
	@echo 'make transcript  ask a real node everything, for docs/transcripts'
	@echo 'make lint      formatting, clippy, licences, scripts'
	@echo 'make audit     known vulnerabilities of the crates (needs the RustSec database)'
	@echo 'make rig       start a node to play with; make rig-stop ends it'
	@echo 'make plugin    build `kubectl pullfuse`: target/kubectl-pullfuse, for a folder on PATH'
	@echo 'make licences  list the licences of what the binaries are made of: target/licences.txt'
	@echo 'make sbom      the same with versions and hashes, as CycloneDX: target/pullfuse.cdx.json'
	@echo 'make image     build the container image: make image TO=docker://registry/pullfuse:tag'
	@echo '                 (ARCH="amd64 arm64" for both architectures in one)'

demo:
	tests/setup.sh demo
	$(BUILD)
	$(RIG) build
	target/debug/examples/demo

test:
	tests/setup.sh test
	$(MAKE) --no-print-directory lint
	$(BUILD)
	$(RIG) build
	cargo test --workspace
	$(MAKE) --no-print-directory qemu

qemu:
	tests/qemu/run.sh

chaos:
	tests/setup.sh test
	$(BUILD)
	$(RIG) build
	PULLFUSE_FUZZ_ROUNDS=$(or $(FUZZ_ROUNDS),20000) cargo test --workspace --test damage --test wire -- damage
	PULLFUSE_ROUNDS=$(or $(ROUNDS),50) cargo test --workspace --test node -- faults::
	$(MAKE) --no-print-directory fuzz

# Not part of `make test`: it compiles every dependency anew, for some minutes. What the targets look
# at is compiled and tried there by tests/damage.rs.
fuzz:
	tests/setup.sh fuzz
	tests/fuzz/run.sh $(or $(SECONDS),60)

soak:
	tests/setup.sh demo
	$(BUILD)
	$(RIG) build
	cargo test --workspace --test node -- --ignored soak::

transcript:
	tests/setup.sh demo
	$(BUILD)
	$(RIG) build
	PULLFUSE_TRANSCRIPTS=$(CURDIR)/docs/transcripts cargo test --workspace --test node -- oncall::
	PULLFUSE_TRANSCRIPTS=$(CURDIR)/docs/transcripts cargo test --workspace --test node -- plugin::

lint:
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(CACHE)/tools/bin/cargo-deny --log-level error check licenses bans sources
	git ls-files '*.sh' .ci/run | xargs shellcheck

# Fetches the RustSec database, which not every machine may.
audit:
	tests/setup.sh test
	$(CACHE)/tools/bin/cargo-deny check advisories

rig:
	tests/setup.sh demo
	$(BUILD)
	$(RIG) build
	$(RIG) start --name dev

rig-stop:
	$(RIG) stop --name dev

image:
	ARCH="$(ARCH)" daemonset/image.sh $(or $(TO),oci-archive:target/pullfuse.tar)

plugin:
	install -D -m 755 "$$(dirname "$$(daemonset/binary.sh)")/kubectl-pullfuse" target/kubectl-pullfuse

licences:
	tests/setup.sh licences
	mkdir -p target
	$(CACHE)/tools/bin/cargo-deny --log-level error --exclude-dev list --layout license >target/licences.txt

sbom:
	tests/setup.sh sbom
	PATH="$(CACHE)/tools/bin:$$PATH" daemonset/sbom.sh target/pullfuse.cdx.json $(TARGET)

clean:
	cargo clean
