# Sourced, by sh: which Node runs pgsteer. The one pinned in npm comes first, then the machine's own.
NODE_OLDEST=24
NODE_WANTED="pgsteer needs Node.js $NODE_OLDEST or newer: there is no pinned one for $(uname -s) $(uname -m) \
in node_modules, and 'node' on the PATH is missing or older; see https://nodejs.org/en/download"

# find_node PACKAGE: prints the path of a usable node; PACKAGE is pgsteer's own directory. A pinned
# Node is below it, or beside it when npm hoisted the dependency.
find_node() {
  case $(uname -m) in
    x86_64) arch=x64 ;;
    aarch64) arch=arm64 ;;
    *) arch=none ;;
  esac
  for node in "$1/node_modules/node-linux-$arch/bin/node" "$1/../node-linux-$arch/bin/node"; do
    if [ -x "$node" ]; then
      echo "$node"
      return 0
    fi
  done
  node=$(command -v node) || return 1
  major=$("$node" -p 'process.versions.node.split(".")[0]' 2>/dev/null) || return 1
  [ "$major" -ge "$NODE_OLDEST" ] || return 1
  echo "$node"
}

# use_compile_cache: has Node keep what it compiled, so that a command starts in half the time. Only
# below a home that is this user's own: a cache that others may write to would be their way in.
use_compile_cache() {
  [ -z "${NODE_COMPILE_CACHE:-}" ] || return 0
  home=${HOME:-/nonexistent}
  [ -O "$home" ] || return 0
  cache=${XDG_CACHE_HOME:-$home/.cache}/pgsteer
  (umask 077 && mkdir -p "$cache") 2>/dev/null || return 0
  [ -O "$cache" ] || return 0
  NODE_COMPILE_CACHE=$cache
  export NODE_COMPILE_CACHE
}
