#!/bin/sh
# usage: meson-object.sh SOURCE BUILD OUTPUT [OPTION...]      builds the Rust code as one object, for meson.build
set -eu
source=$1 build=$2 output=$3
shift 3
cmake -S "$source" -B "$build" -DUDPR_BUILD_TESTS=OFF -DUDPR_BUILD_EXAMPLES=OFF -DUDPR_INSTALL=OFF "$@"
cmake --build "$build" --target udpr-object
# Without a change, nothing is linked again.
cmp -s "$build"/udpr-*.o "$output" || cp "$build"/udpr-*.o "$output"
