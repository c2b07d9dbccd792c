#!/usr/bin/env bash
# Checks what gofmt, vet and staticcheck do not know: formatting is clean, the toolchain is new enough, and packages
# import only what the layout allows. Each violation is one line that names the offending arrow.
set -euo pipefail
cd "$(dirname "$0")/.."

minimum=1.26.5 # older versions have an os.Root that can be escaped
failed=0
fail() {
	echo "lint: $*" >&2
	failed=1
}

version=$(go env GOVERSION)
version=${version#go}
version=${version%% *}
[ "$(printf '%s\n' "$minimum" "$version" | sort -V | head -n 1)" = "$minimum" ] ||
	fail "go $version is older than $minimum"

unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || fail "not gofmt'd: ${unformatted//$'\n'/ }"

# arrows FIELD... prints "from to" for every import that the packages of this module have in the given fields of go list.
arrows() {
	local format='{{$p := .ImportPath}}'
	for field in "$@"; do
		format+="{{range .$field}}{{\$p}} {{.}}{{\"\\n\"}}{{end}}"
	done
	go list -f "$format" ./... | sed '/^$/d' | sort -u
}

# in_tree PATH TREE: is the import path TREE itself or below it?
in_tree() { [[ $1 == "$2" || $1 == "$2"/* ]]; }

# Rules for one arrow: $1 imports $2, $3 is "code" or "test".
check() {
	local from=$1 to=$2 kind=$3
	in_tree "$to" ferry || return 0
	if in_tree "$from" ferry/client && in_tree "$to" ferry/server; then
		[[ $kind == test && $to == ferry/server/servertest ]] || fail "$from -> $to ($kind): client never imports server"
	elif in_tree "$from" ferry/server && in_tree "$to" ferry/client; then
		fail "$from -> $to ($kind): server never imports client"
	elif in_tree "$from" ferry/shared && ! in_tree "$to" ferry/shared; then
		[[ $kind == test ]] && in_tree "$to" ferry/internal || fail "$from -> $to ($kind): shared imports nothing outside shared"
	elif in_tree "$from" ferry/internal && ! in_tree "$to" ferry/internal && ! in_tree "$to" ferry/shared; then
		fail "$from -> $to ($kind): internal imports neither client nor server"
	elif in_tree "$to" ferry/bench && ! in_tree "$from" ferry/bench; then
		fail "$from -> $to ($kind): nothing imports bench"
	elif in_tree "$from" ferry/bench && { in_tree "$to" ferry/server || in_tree "$to" ferry/internal; }; then
		[[ $kind == test && $to == ferry/server/servertest ]] || fail "$from -> $to ($kind): bench imports client and shared only"
	fi
}

list=$(arrows Imports)
while read -r from to; do [ -z "$from" ] || check "$from" "$to" code; done <<<"$list"
list=$(arrows TestImports XTestImports)
while read -r from to; do [ -z "$from" ] || check "$from" "$to" test; done <<<"$list"

# May the packages that everything else stands on need $1?
small() {
	case $1 in
	ferry/shared/wire | ferry/shared/block | ferry/shared/partial) ;;
	github.com/go-json-experiment/json | github.com/go-json-experiment/json/*) ;;
	ferry/* | *.*/*) return 1 ;; # the rest has no dot in its first element: the standard library
	esac
}

for package in shared/wire shared/block shared/partial; do
	[ -d "$package" ] || continue
	list=$(go list -deps -f '{{if not .Standard}}{{$p := .ImportPath}}{{range .Imports}}{{$p}} {{.}}{{"\n"}}{{end}}{{end}}' "./$package" | sed '/^$/d')
	while read -r from to; do
		[ -z "$from" ] || ! small "$from" || small "$to" ||
			fail "$from -> $to (code): $package needs only the standard library and github.com/go-json-experiment/json"
	done <<<"$list"
done

for program in client server; do
	[ -f "$program/main.go" ] || continue
	deps=$(go list -deps "./$program")
	while read -r dep; do
		case $dep in
		testing | ferry/internal/* | ferry/server/servertest) fail "ferry/$program -> $dep: test code in a program" ;;
		esac
	done <<<"$deps"
done

exit $failed
