#!/usr/bin/env bash
# example_app.py in a real browser: people talk in the chat, and the four original clients draw one picture.
#
#     run.sh PYTHON FILE      saves the picture in FILE
#     run.sh PYTHON --save    saves it as four-generations.png beside this script: the README shows that one
#
# The clients are those of .ci/interop, from npm. Fails when a check failed or could not run.
set -euo pipefail

python=${1:?usage: run.sh PYTHON FILE | --save}
file=${2:?usage: run.sh PYTHON FILE | --save}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
interop=$here/../interop
if [ "$file" = --save ]; then
  file=$here/four-generations.png
fi
if ! [ "$interop/node_modules/.package-lock.json" -nt "$interop/package-lock.json" ]; then
  (cd "$interop" && timeout 120 npm ci)
fi
export PYTHONDONTWRITEBYTECODE=1    # no __pycache__ beside socket_io.py
exec timeout --kill-after=5 120 node "$here/check.mjs" "$python" "$file"
