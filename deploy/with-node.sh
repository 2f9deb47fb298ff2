#!/bin/sh
# with-node.sh ARGUMENT...: execs the Node of this checkout (pinned, else the machine's).
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$root/deploy/bin/find-node.sh"
if ! node=$(find_node "$root"); then
  echo "$NODE_WANTED" >&2
  exit 1
fi
use_compile_cache
exec "$node" "$@"
