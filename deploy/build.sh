#!/bin/sh
# Compiles src to dist: plain JavaScript, for the published package.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$root"
rm -rf dist
sh deploy/with-node.sh node_modules/typescript/bin/tsc -p deploy/tsconfig.build.json
