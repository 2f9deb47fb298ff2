#!/bin/sh
# npm test: everything. Lint and types first, then all tests by one runner with one summary at the
# end. Slow tests share ports, cores and servers' timing: one file at a time. With arguments: these
# kinds only (see deploy/list-tests.sh).
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$root" || exit 1
SECONDS_MAX_FILE=600
failed=''

if [ $# = 0 ]; then
  sh deploy/check.sh lint || failed=' lint'
  set -- quick slow
fi
files=$(for kind in "$@"; do sh deploy/list-tests.sh "$kind"; done)
[ -n "$files" ] || { echo "test: no test files of kind $*" >&2; exit 1; }
# shellcheck disable=SC2086
sh deploy/with-node.sh --test --test-concurrency=1 --test-timeout=$((SECONDS_MAX_FILE * 1000)) $files ||
  failed="$failed tests"

[ -z "$failed" ] || { echo "test: failed:$failed" >&2; exit 1; }
