#!/bin/sh
# Everything a checkout needs: Debian packages, npm packages with a pinned Node, and the command
# node_modules/.bin/pgsteer. Says on stderr what it does; does nothing, quickly, when all is there.
# Usage: sh deploy/setup.sh        (as root, or as a user who may sudo when packages are missing)
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
PACKAGES='etcd-server etcd-client patroni haproxy pgbouncer python3-psycopg2
  python3-etcd openssl procps iproute2 util-linux'
POSTGRES_OLDEST=13
NPM_FLAGS='--include=dev --include=optional --no-audit --no-fund --loglevel=error'

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

main() {
  if [ "${1:-}" = install-packages ]; then
    shift
    install_packages "$@"
    return
  fi
  # Two set-ups of one checkout at once: the second waits and then finds everything done.
  exec 9<"$root"
  flock -n 9 || { say 'waiting for another set-up of this checkout'; flock 9; }
  ensure_packages
  ensure_node_modules
  ensure_node
  ensure_command
  ensure_warm
}

ensure_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    ensure_programs
    return
  fi
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" = 0 ]; then
    as_root=''
  elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    as_root=sudo
  else
    fail "not root, and no sudo to be had; as root run: apt-get install --no-install-recommends $missing"
  fi
  say "installing Debian packages: $missing"
  # shellcheck disable=SC2086 # a list of words each
  $as_root sh "$root/deploy/setup.sh" install-packages $missing ||
    fail "could not install: $missing (the reason is above)"
}

# One line: the packages to install, with the release's own PostgreSQL when no usable one is there.
missing_packages() {
  # shellcheck disable=SC2086
  installed=" $(dpkg-query -W -f='${db:Status-Status} ${Package}\n' $PACKAGES 'postgresql-[0-9]*' \
    2>/dev/null | sed -n 's/^installed //p' | tr '\n' ' ')"
  wanted=''
  postgres=''
  for package in $installed; do
    version=${package#postgresql-}
    case $version in
      *[!0-9]* | '') ;;
      *) if [ "$version" -ge "$POSTGRES_OLDEST" ]; then postgres=$package; fi ;;
    esac
  done
  [ -n "$postgres" ] || wanted=postgresql
  for package in $PACKAGES; do
    case $installed in
      *" $package "*) ;;
      *) wanted="$wanted $package" ;;
    esac
  done
  echo "${wanted# }"
}

# As root: installs the named packages without starting a service.
install_packages() {
  exec 8</var/lib/dpkg # set-ups of different checkouts share the policy file below
  flock 8
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  if apt-get -q update >"$log" 2>&1 &&
    apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 install "$@" >>"$log" 2>&1 8>&-; then
    rm -f "$log"
    say 'packages installed; their services were not started'
  else
    tail -n 30 "$log" >&2
    rm -f "$log"
    return 1
  fi
}

# No apt here: the programs may still be there by other ways.
ensure_programs() {
  absent=''
  for program in etcd patroni patronictl haproxy pgbouncer psql openssl ps ip setpriv; do
    command -v "$program" >/dev/null || absent="$absent $program"
  done
  command -v pg_ctl >/dev/null || ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 ||
    absent="$absent postgres($POSTGRES_OLDEST or newer)"
  [ -z "$absent" ] || fail "no apt-get here; please install what provides:$absent"
}

ensure_node_modules() {
  command -v npm >/dev/null || fail 'npm is not there; please install Node.js 20 or newer with npm'
  stamp=$root/node_modules/.package-lock.json
  if [ ! -e "$stamp" ] || [ "$root/package-lock.json" -nt "$stamp" ]; then
    say 'installing npm packages (npm ci)'
    log=$(mktemp)
    # shellcheck disable=SC2086 # a list of words
    if ! (cd "$root" && npm ci $NPM_FLAGS >"$log" 2>&1 9<&-); then
      head -n 20 "$log" >&2 # the reason comes first, then pages of usage
      rm -f "$log"
      fail 'npm ci failed (the reason is above)'
    fi
    rm -f "$log"
    touch "$stamp"
  fi
}

ensure_node() {
  # shellcheck source=bin/find-node.sh
  . "$root/deploy/bin/find-node.sh"
  find_node "$root" >/dev/null || fail "$NODE_WANTED"
}

ensure_command() {
  command=$root/node_modules/.bin/pgsteer
  if [ ! -x "$command" ] || [ "$root/deploy/setup.sh" -nt "$command" ]; then
    say 'writing node_modules/.bin/pgsteer'
    write_command >"$command.$$"
    chmod 755 "$command.$$"
    mv -f "$command.$$" "$command"
  fi
}

# Compiles what a daemon loads, once for each change of the sources: it starts sooner and smaller.
ensure_warm() {
  use_compile_cache
  stamp=$root/node_modules/.pgsteer-compiled
  [ -n "${NODE_COMPILE_CACHE:-}" ] || return 0
  [ ! -e "$stamp" ] || [ ! -d "$NODE_COMPILE_CACHE" ] ||
    [ -n "$(find "$root/src" -newer "$stamp" -print -quit)" ] || return 0
  say 'compiling the sources into the cache of Node'
  if sh "$root/deploy/with-node.sh" "$root/deploy/warm-up.ts" >/dev/null 9<&-; then touch "$stamp"; fi
}

write_command() {
  cat <<'END'
#!/bin/sh
# Written by deploy/setup.sh: pgsteer from the sources of this checkout. It execs, so that signals
# reach the daemon.
root=$(dirname -- "$(readlink -f -- "$0")")/../..
. "$root/deploy/bin/find-node.sh"
use_compile_cache
exec sh "$root/deploy/with-node.sh" "$root/src/main.ts" "$@"
END
}

main "$@"
