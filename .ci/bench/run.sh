#!/usr/bin/env bash
# Measures socket_io.py beside node, bun, python-socketio and bare Tornado, and prints tables in Markdown.
#
#     run.sh                              all tables; takes twenty minutes
#     run.sh --servers ours-uvloop,node --tables peers --cases echo,broadcast
#     run.sh --smoke                      whether all of it works, on socket_io.py alone; judges no times
#     run.sh --help                       all options
#
# Needs Linux, Python 3.11 or newer, a C compiler, for the peers in JavaScript Node with npm, for one of the cases nginx
# and for the table of a cluster redis-server (Debian: apt-get install nginx-light redis-server; the smoke run goes
# without them where they are not installed). Installs what it measures, in the pinned versions, below .ci/.work and in
# node_modules beside this file. What has no server here, such as bun on a rare processor, is left out, and said so.
set -euo pipefail

die() {
  echo "run.sh: $1" >&2
  exit 1
}

# needs_making TARGET SOURCE
needs_making() {
  ! [ "$1" -nt "$2" ]
}

# make_environment NAME REQUIREMENTS: sets $python.
make_environment() {
  local folder=$work/venv-$1
  python=$folder/bin/python
  if needs_making "$folder/made" "$2"; then
    rm -rf "$folder"
    python3 -m venv "$folder"
    timeout --kill-after=10 240 "$python" -m pip install --quiet --disable-pip-version-check -r "$2"
    touch "$folder/made"
  fi
}

install_node_modules() {
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "run.sh: without node and npm there is nothing in JavaScript to compare with" >&2
  elif needs_making "$here/node_modules/.package-lock.json" "$here/package-lock.json"; then
    (cd "$here" && timeout --kill-after=10 240 npm ci --silent)
  fi
}

build_load() {
  command -v cc >/dev/null || die "cc is missing: the load is a program in C"
  if needs_making "$work/load" "$here/load.c"; then
    cc -O2 -Wall -Wextra -o "$work/load" "$here/load.c"
  fi
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$here/../.work/bench
mkdir -p "$work"
work=$(cd "$work" && pwd)
unset PYTHONPATH PYTHONHOME    # only what is installed here may be imported

command -v taskset >/dev/null || die "taskset is missing: server and load have a core each"
build_load
if [[ " $* " == *" --smoke "* ]]; then
  make_environment smoke "$here/../requirements-uvloop.txt"
else
  make_environment peers "$here/requirements.txt"
  install_node_modules
fi
LOAD=$work/load exec "$python" -B "$here/bench.py" "$@"
