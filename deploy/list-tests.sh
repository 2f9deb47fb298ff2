#!/bin/sh
# list-tests.sh quick | slow | io | cluster | hostile | package: test files, a line each. Slow are the
# kinds that use real servers, many sockets or npm; everything else is quick.
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$root" || exit 1
SLOW='io cluster hostile package'

list() {
  [ ! -d "test/$1" ] || find "test/$1" -name '*.test.ts' | LC_ALL=C sort
}

case ${1:-} in
  quick)
    find test -name '*.test.ts' | LC_ALL=C sort | grep -Ev "^test/($(echo "$SLOW" | tr ' ' '|'))/"
    ;;
  slow) for kind in $SLOW; do list "$kind"; done ;;
  *) list "$1" ;;
esac
