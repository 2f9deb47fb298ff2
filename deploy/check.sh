#!/bin/sh
# npm run check: format, lint, types, then tidy, unit, scenario and short property tests. About a
# minute; needs neither etcd nor PostgreSQL. With "lint" as argument only the first three.
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$root" || exit 1
[ -d node_modules ] || { echo 'check: first run: npm run setup' >&2; exit 1; }
failed=''
colours=off
[ ! -t 1 ] || colours=force

step() {
  name=$1
  shift
  echo "check: $name" >&2
  "$@" || failed="$failed $name"
}

step biome node_modules/.bin/biome ci --colors="$colours" --error-on-warnings .
step tsc sh deploy/with-node.sh node_modules/typescript/bin/tsc -p .
if [ "${1:-}" != lint ]; then
  # Everything that is not one of the slow kinds; see deploy/test.sh.
  # shellcheck disable=SC2046
  step tests sh deploy/with-node.sh --test --test-timeout=120000 $(sh deploy/list-tests.sh quick)
fi

[ -z "$failed" ] || { echo "check: failed:$failed" >&2; exit 1; }
