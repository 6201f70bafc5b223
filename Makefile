# The two commands of a newcomer are `cargo run --release -- doctor --demo` and `make test`.

SHELL := /bin/bash

.PHONY: test tools lint docs

# Installs what the tests need, then runs everything.
test: tools
	./scripts/test

# nftables and iproute2 for the network namespaces of the agent's tests, Python and moto for AWS.
tools:
	./scripts/tools

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

docs:
	cargo xtask docs
