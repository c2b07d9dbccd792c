FUZZTIME ?= 20s
TIMEOUT ?= 15m
SECONDS ?= 300

.PHONY: build man test race lint fuzz cover bench torture demo picture clean

build:
	CGO_ENABLED=0 go build -trimpath -o bin/ferry ./client
	CGO_ENABLED=0 go build -trimpath -o bin/ferryd ./server

man: build # bin/ferry.1, bin/ferryd.8, bin/users.toml.5; read them with man -l
	bin/ferry man >bin/ferry.1
	bin/ferryd man ferryd >bin/ferryd.8
	bin/ferryd man users.toml >bin/users.toml.5

test:
	go test -shuffle=on -timeout $(TIMEOUT) ./...

race: # needs gcc; every process would sleep a second at its end, and the tests start a thousand
	GORACE=atexit_sleep_ms=10 CGO_ENABLED=1 go test -race -shuffle=on -timeout $(TIMEOUT) ./...

lint:
	tools/lint.sh
	go vet ./...
	go tool -modfile=tools/go.mod staticcheck ./...

fuzz: # every target for FUZZTIME
	tools/fuzz.sh $(FUZZTIME)

cover:
	go test -timeout $(TIMEOUT) -coverpkg=./... -coverprofile=cover.out ./...
	go tool cover -func=cover.out

bench: build # beside the peers that are installed; BENCH='-h' tells what it takes
	CGO_ENABLED=0 go build -trimpath -o bin/bench ./bench
	bin/bench $(BENCH)

microbench:
	go test -run='^$$' -bench=. -benchmem ./...

torture: # kill, cut and check histories for SECONDS, with new seeds each time
	FERRY_TORTURE=$(SECONDS) go test -count=1 -timeout 0 -run='^TestHistory$$' -v ./client

demo: build
	tools/demo.sh

picture: # docs/session.svg, from a session played now
	FERRY_PICTURE=1 go test -count=1 -run='^TestPicture$$' ./client

clean:
	rm -rf bin cover.out
