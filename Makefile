# make test   installs what the tests need, then checks and tests everything
#             (make test PKG=./internal/soap tests one package, or PKG=./internal/...
#             those below a folder, with nothing installed; RUN=REGEXP chooses tests)
# make check  the linters alone
# make reference  writes the pages in docs/reference that are made from the program
# make fuzz   each fuzz target for FUZZTIME
# make bench  vigate beside a bare server and govmomi's simulator, in 5 minutes
#             (bench-full: with 1,000,000 sessions)
# make bench-compare  the micro-benchmarks against the committed figures
#             (bench-micro: runs them alone; BENCH and BENCHTIME choose)
# make dist   archives, deb, rpm, man pages, bills of materials and sums of a release in dist
#             (dist-check: makes them twice and compares, and runs what can run here)
# make soak   the suites of stores and the racy packages COUNT times, the long proof
#             with KILLS kills under load, and vigate under full load for DURATION
#             (soak-load: that alone), with a summary at the end; PARTS="proof flood" chooses
SHELL    := /bin/bash
FUZZTIME ?= 30s
COUNT    ?= 50
KILLS    ?= 200
DURATION ?= 20m
SESSIONS ?= 200000
BENCH    ?= .
BENCHTIME ?= 200ms
# With paths left out of what is built, clones in different directories share the build cache.
export GOFLAGS += -trimpath
TOOL     := go tool -modfile=tools/go.mod
MODULES  := . bench $(patsubst %/go.mod,%,$(wildcard test/*/go.mod))
# In the tests of these, the server is a process of its own, built as it is released: there is nothing to race with.
# In test/gateway, the simulators of one process share data that they change, which the detector would report.
# In test/console, the browser is a process, and the console itself is tested with -race in its packages.
# Modules are tested two at a time, because some of them mostly wait.
PROCESS  := bench test/clients test/console test/deploy test/gateway test/proof

# These drive whole servers call by call, and take some minutes with the race detector. The parts of a server have
# tests of their own with it, and make soak has these.
WHOLE    := cmd/vigate internal/matrix

.PHONY: test one setup check unit reference fuzz bench bench-full bench-micro bench-compare dist dist-check soak soak-load

ifdef PKG
test: one
else
test: setup check unit
endif

one:
	@cd $(patsubst %/...,%,$(PKG)) && go test -race -shuffle=on -timeout 60m $(if $(RUN),-run '$(RUN)') .$(if $(filter %/...,$(PKG)),/...)

setup:
	./scripts/setup

check:
	@bad=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$bad" || { echo "gofmt wants changes in:"; echo "$$bad"; exit 1; }
	@for m in $(MODULES); do (cd $$m && echo "go vet, staticcheck: $$m" && go vet ./... && go tool -modfile=$(CURDIR)/tools/go.mod staticcheck ./...) || exit 1; done
	@./scripts/vulncheck

unit:
	@mkdir -p bin
	@./scripts/gotest -race -vet=off -shuffle=on -timeout 60m $$(go list ./... | grep -vx $(WHOLE:%=-e 'github.com/vigate/vigate/%'))
	@./scripts/gotest -vet=off -shuffle=on -timeout 60m $(WHOLE:%=./%)
	@printf '%s\n' $(filter-out .,$(MODULES)) | xargs -P 2 -I % bash -c 'race=-race; case " $(PROCESS) " in *" % "*) race=;; esac; \
	  cd % && exec $(CURDIR)/scripts/gotest $$race -vet=off -shuffle=on -timeout 60m ./...'

reference:
	go test -count=1 -run 'TestThePagesOfTheReference' . -update
	go test -count=1 -run 'TestThePageOfTheCommands' ./cmd/vigate -update

fuzz:
	./scripts/fuzz $(FUZZTIME)

bench:
	cd bench && go run .

bench-full:
	cd bench && go run . -full

bench-micro:
	@mkdir -p bench/results
	@set -o pipefail; go test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) -count 6 ./... | tee bench/results/micro.txt

bench-compare: bench-micro
	$(TOOL) benchstat bench/baseline.txt bench/results/micro.txt

dist:
	rm -rf dist
	./scripts/dist dist

dist-check:
	cd test/deploy && go test -count=1 -tags soak -timeout 60m -run Dist .

soak:
	@./scripts/soak $(COUNT) $(KILLS) $(SESSIONS) $(DURATION) $(PARTS)

soak-load:
	cd bench && go run . -soak $(DURATION)
