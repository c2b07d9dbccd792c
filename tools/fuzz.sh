#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, for the time given (20s by default).
set -euo pipefail
cd "$(dirname "$0")/.."

targets=$(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort || true)
[ -n "$targets" ] || { echo "fuzz: no targets" >&2; exit 1; }

while IFS=: read -r file func; do
	name=${func#func }
	echo "== ${file%/*} $name"
	go test -run='^$' -fuzz="^$name\$" -fuzztime="${1:-20s}" "${file%/*}" </dev/null
done <<<"$targets"
