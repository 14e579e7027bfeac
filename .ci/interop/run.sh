#!/usr/bin/env bash
# Real Socket.IO clients of every generation against app.py.
#
#     run.sh PYTHON                    the newest client in depth, the old ones byte by byte, all generations together
#     run.sh PYTHON matrix [OPTIONS]   every client, over each of its transports; the options are those of matrix.mjs
#
# Installs the clients when the lock file asks for it. Fails when a check failed or could not run.
set -euo pipefail

die() {
  echo "run.sh: $1" >&2
  exit 1
}

install_clients() {
  if ! [ "$here/node_modules/.package-lock.json" -nt "$here/package-lock.json" ]; then
    (cd "$here" && timeout 120 npm ci)
  fi
}

# Starts app.py and sets $app and $port. `timeout` ends the server even if this script is killed.
start_app() {
  timeout --kill-after=5 900 "$python" "$here/app.py" 0 >"$scratch/ready" 2>"$scratch/log" &
  app=$!
  for _ in $(seq 100); do
    port=$(sed -n 's/^READY //p' "$scratch/ready")
    [ -z "$port" ] || return 0
    kill -0 "$app" 2>/dev/null || break
    sleep 0.1
  done
  cat "$scratch/log" >&2
  die "app.py did not get ready"
}

clean_up() {
  if [ -n "$app" ]; then
    kill "$app" 2>/dev/null || true
    wait "$app" 2>/dev/null || true
  fi
  rm -rf "$scratch"
}

# run_script SECONDS SCRIPT [ARGUMENT ...]
run_script() {
  local seconds=$1 script=$2
  shift 2
  timeout --kill-after=5 "$seconds" node "$here/$script" "http://127.0.0.1:$port" "$@" || failed=1
}

# Fails if the server has logged an error: the clients may not have noticed it.
read_log() {
  if grep -qE '^(ERROR|CRITICAL)|Traceback|never (awaited|retrieved)' "$scratch/log"; then
    echo "FAILED the server logged errors:"
    cat "$scratch/log"
    failed=1
  fi
}

python=${1:?usage: run.sh PYTHON [matrix [OPTIONS]]}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
export PYTHONDONTWRITEBYTECODE=1    # no __pycache__ beside socket_io.py

command -v node >/dev/null || die "node is missing"
command -v "$python" >/dev/null || die "$python is missing"
[ -x "$CHROMIUM" ] || die "$CHROMIUM is missing; CHROMIUM in the environment may name another browser"

app=
failed=0
scratch=$(mktemp -d)
trap clean_up EXIT
install_clients
start_app
if [ "${2-}" = matrix ]; then
  run_script 780 matrix.mjs --python "$python" "${@:3}"
else
  run_script 200 matrix.mjs --newest
  run_script 120 wire.mjs
  run_script 120 family.mjs
fi
read_log
exit "$failed"
