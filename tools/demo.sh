#!/usr/bin/env bash
# A first look at ferry: a server on loopback with a temporary data directory, a user, and a shell that is logged in.
# Without a terminal it plays a short script instead: put, ls, get, a cut in the middle of each, resume; every byte compared.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d "${TMPDIR:-/tmp}/ferry-demo.XXXXXX")
server=
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap finish EXIT
step() { printf '\n== %s\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; [ ! -f "$dir/server.log" ] || tail -n 20 "$dir/server.log" >&2; exit 1; }

export XDG_STATE_HOME="$dir/state" XDG_CONFIG_HOME="$dir/config"
unset FERRY_PASSWORD
mkdir -p "$dir/here"
mkdir -m 700 "$dir/data"

step "a user: ferryd user add alice --generate"
(umask 077 && bin/ferryd user add alice --generate --data "$dir/data" >"$dir/password")

step "a server on loopback: ferryd serve --data DIR"
set -m # a process group of its own: Ctrl-C in the shell is not for the server
bin/ferryd serve --data "$dir/data" --listen 127.0.0.1:0 --addr-file "$dir/addr" >"$dir/server.log" 2>&1 </dev/null &
server=$!
set +m
for _ in $(seq 200); do
  [ ! -s "$dir/addr" ] || break
  kill -0 "$server" 2>/dev/null || fail "the server did not start"
  sleep 0.05
done
[ -s "$dir/addr" ] || fail "the server did not start"
addr=$(head -n 1 "$dir/addr")
fingerprint=$(bin/ferryd fingerprint --data "$dir/data")
top=$PWD
ferry() { "$top/bin/ferry" --fingerprint "$fingerprint" --password-file "$dir/password" "$@" "alice@$addr"; }
cd "$dir/here"

if [ -t 0 ] && [ -t 1 ]; then
  printf 'hello from ferry\n' >hello.txt
  printf '\nYou are alice, logged in. Try: put hello.txt    ls -l    cat hello.txt    help    quit\n\n'
  ferry || true
  exit 0
fi

step "a real file of 96 MiB"
head -c $((96 << 20)) /dev/urandom >report.bin
sum=$(sha256sum report.bin | cut -d' ' -f1)
echo "sha256 $sum"

step "put, ls, sum, get"
ferry -c 'put report.bin; ls -l; sum report.bin; get report.bin -o copy.bin' || fail "the first round failed"
cmp report.bin copy.bin || fail "what came back is not what went"
[ "$(ferry -q -c 'sum report.bin' | cut -d' ' -f1)" = "$sum" ] || fail "the server has another sum"

# Starts a transfer, kills ferry with no warning once a third of it is on the other side, and leaves the rest to resume.
cut_off() { # command, file that grows
  (exec "$top/bin/ferry" --fingerprint "$fingerprint" --password-file "$dir/password" -q -c "$1" "alice@$addr") &
  local pid=$! n
  for _ in $(seq 2000); do
    n=$(du -sk "$2" 2>/dev/null | cut -f1 || true)
    [ "${n:-0}" -lt $((128 << 10)) ] || break
    kill -0 "$pid" 2>/dev/null || fail "it was over before it could be cut"
    sleep 0.005
  done
  kill -9 "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}

head -c $((384 << 20)) /dev/urandom >big.bin
step "put of 384 MiB, kill -9 of the client in the middle"
cut_off 'put big.bin' "$dir/data/homes/alice/.ferry"
[ ! -e "$dir/data/homes/alice/big.bin" ] || fail "half a file is visible"
ferry -q -c 'resume'

step "the same put again goes on"
ferry -c 'put big.bin' || fail "put did not go on"
cmp big.bin "$dir/data/homes/alice/big.bin" || fail "the file on the server is not the one that was sent"

step "get, kill -9 in the middle, the same get again"
cut_off 'get big.bin -o back.bin' "$dir/here/back.bin.ferry-part"
[ ! -e back.bin ] || fail "half a file is visible"
ferry -c 'get big.bin -o back.bin' || fail "get did not go on"
cmp big.bin back.bin || fail "the file that came back is not the one that went"

step "done: every byte was compared"
