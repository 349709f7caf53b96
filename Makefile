# The front door: `make help` says what there is. Needs Node (any version that has npm 10 or newer); for real Envoys (`make
# run PROXY=envoy`, tests) Python 3 with pip; for `make run-kubernetes`, the tests with a real API server and those of
# HTTP/2 and gRPC Go, 1.21 or newer. The Node that the project runs on is installed by npm like the rest.

# The Node of node_modules goes first, so that npm and everything that it starts use that one; only `npm ci`, which takes
# that very folder away, runs on the machine's own.
machine_path := $(PATH)
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run run-kubernetes test cluster-programs conformance-programs check golden features parity behaviours envoy-parity security-mutations fuzz bench mesh-bench bench-page proxy-bench hostile soak soak-proxy build pack-proxy chart image kind-up e2e e2e-down

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Run the Bookinfo mesh on this machine until Ctrl-C (CONFIG_DIR=dir: another configuration; PROXY=envoy: real Envoys)
	@node tools/run/run.ts

run-kubernetes: build ## Run the same mesh with its configuration in a real API server; prints its kubeconfig (PROXY as above)
	@node tools/run/run-kubernetes.ts

test: build cluster-programs conformance-programs ## Run every test; the last line counts them
	@npm test --silent

# Real etcd, kube-apiserver, kubectl and Helm for the tests, built once from the Go module proxy.
cluster-programs: node_modules/.package-lock.json
	@node tools/cluster/build.ts

# h2spec, and the interoperability client and server of gRPC, likewise.
conformance-programs: node_modules/.package-lock.json
	@node tools/conformance/build.ts

check: build ## Check format, lint, types, layers, dead code and sizes
	@npm run --silent check

golden: build ## Write the expected outputs of test/golden anew; read the diff before you commit it
	@vitest run test/golden --update

features: build ## Write docs/features.md: every field of the networking kinds and what proves it
	@npm run --silent features

parity: build ## Compare with the reference's recorded resources (CASES=01,03 picks some; SOURCE=kubernetes takes an API server; PARITY_DIR=dir: another folder)
	@node tools/parity/parity.ts

behaviours: build ## Ask every behaviour of Envoy and of the companion proxy, and show both (TOPICS=cors,gateways picks some)
	@node tools/behaviours/behaviours.ts

envoy-parity: build ## Give the reference's cases to real Envoys (CASES and PARITY_DIR as above); fails on any rejection
	@node tools/parity/envoy-acceptance.ts

security-mutations: build ## Break each security check in a copy and show that its tests turn red (ONLY=CA-7,F-10 picks some)
	@node tools/security/run-mutations.ts

fuzz: build ## Break objects at random, check what proxies would get (RUNS=100000; FUZZ_SEED=n repeats a series)
	@FUZZ_RUNS=$(or $(RUNS),100000) vitest run test/fuzz

# $(call mesh_bench,more options): options of the bench by their names there.
mesh_bench = node test/bench/mesh/mesh-bench.ts $(foreach name,PROXIES SERVICES ENDPOINTS ROUNDS,$(if $($(name)),--$(call lower,$(name)) $($(name)))) \
	$(if $(DELTA),--delta) $(1)
lower = $(shell echo '$(1)' | tr A-Z a-z)

mesh-bench: build ## Measure the control plane under many simulated proxies (PROXIES=1000 SERVICES=1000 ENDPOINTS=2 SCENARIOS=storm,endpoint SOURCE=memory ROUNDS=1 DELTA=1 JSON=file COMPARE=file; ARGS=--help says all)
	@$(call mesh_bench,$(if $(SCENARIOS),--only $(SCENARIOS)) $(if $(SOURCE),--source $(SOURCE)) $(if $(JSON),--json $(JSON)) $(if $(COMPARE),--compare $(COMPARE)) $(ARGS))

bench: mesh-bench ## The same, then beside a real API server, then the issuing of certificates, the injection of pods, and the companion proxy
	@node test/bench/mesh/mesh-bench.ts --source kubernetes --proxies 200 --endpoints 5 --only storm,endpoint,virtual-service
	@node test/bench/certificate-bench.ts
	@node test/bench/injection-bench.ts
	@$(MAKE) --no-print-directory proxy-bench ROUNDS= JSON=

bench-page: build ## Make the figures of docs/performance.md from files of the bench (JSON="a.json b.json")
	@node test/bench/mesh/page.ts $(JSON)

proxy-bench: build ## Compare the companion proxy with Envoy and http-proxy (ROUNDS=5 SECONDS=1.5 ONLY=http1,tcp JSON=file)
	@node test/bench/proxies/proxy-bench.ts $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(ONLY),--only $(ONLY)) $(if $(JSON),--json $(JSON))

hostile: build ## Attack the companion proxy with 10,000 clients and a control plane out of its mind, beside clients that behave (ONLY=idle,drip picks some; PROXY=envoy: the real one)
	@node test/companion/hostile/hostile.ts --only "$(ONLY)" --proxy "$(or $(PROXY),companion)"

e2e: build ## Run a one-node Kubernetes with sidecars here (root on Linux), test it (KEEP=1 leaves it; TESTS=words picks files)
	@node tools/e2e/e2e.ts

e2e-down: ## End a node that `make e2e KEEP=1` left running
	@node tools/e2e/down.ts

soak: build ## Renew certificates under traffic, then replace the root (MINUTES=10 SIDECARS=20 LIFETIME=60)
	@node tools/soak/soak.ts

soak-proxy: build ## An hour's worth of random changes and requests through the companion proxy, against a model (CHANGES=3600 SEED=n XDS=delta PROXY=envoy)
	@node tools/soak/soak-proxy.ts

version := $(shell sed -n 's/^  "version": "\(.*\)",$$/\1/p' package.json)
# $(call need,program,where to get it): ends with a sentence where the program is missing.
need = command -v $(1) > /dev/null || { echo "make $@ needs $(1): $(2)" >&2; exit 1; }
need_docker = $(call need,docker,https://docs.docker.com/engine/install/); \
	docker info > /dev/null 2>&1 || { echo "make $@ needs a running Docker daemon; 'docker info' finds none" >&2; exit 1; }

pack-proxy: build ## Pack the companion proxy for npm, compiled, into dist
	@mkdir -p dist
	@npm pack --silent --workspace @meltemi/proxy --pack-destination dist

chart: build cluster-programs ## Check the Helm chart and pack it, CRDs and all, into dist
	@.cache/kubernetes/helm lint --strict manifests/chart
	@.cache/kubernetes/helm package manifests/chart --destination dist

image: ## Build the images of the control plane and of the proxy with Docker
	@$(need_docker)
	docker build --tag meltemi:$(version) .
	docker build --tag meltemi-proxy:$(version) --build-arg MELTEMI_IMAGE=meltemi:$(version) --file Dockerfile.proxy .
	docker build --tag meltemi-bookinfo:$(version) --file manifests/samples/bookinfo-kubernetes/Dockerfile .

kind-up: ## Start a cluster in Docker with kind, and install Meltemi from this checkout into it
	@$(need_docker)
	@$(call need,kind,https://kind.sigs.k8s.io/docs/user/quick-start/#installation)
	@$(call need,helm,https://helm.sh/docs/intro/install/)
	@$(call need,kubectl,https://kubernetes.io/docs/tasks/tools/)
	@$(MAKE) --no-print-directory build image
	@kind get clusters | grep -qx meltemi || kind create cluster --config kind-config.yaml
	kind load docker-image --name meltemi meltemi:$(version) meltemi-proxy:$(version) meltemi-bookinfo:$(version)
	helm upgrade --install meltemi manifests/chart --kube-context kind-meltemi --namespace istio-system --create-namespace --wait
	@echo "Meltemi runs; docs/install.md goes on from here. 'kind delete cluster --name meltemi' ends it."

# Generated files: protobuf types and the CRDs (manifests/crds), only where their inputs changed.
build: node_modules/.package-lock.json
	@npm run --silent build

# npm writes this file last, so it is newer than the lock exactly where everything is installed.
node_modules/.package-lock.json: package-lock.json
	@echo "Installing dependencies (npm ci)"
	@PATH='$(machine_path)' npm ci --no-progress --loglevel=error
	@touch $@
