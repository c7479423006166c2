#!/usr/bin/env bash
# Makes packages of a program that is built: build.sh PROGRAM VERSION FOLDER FORMAT…
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1 version=$2 folder=$3
shift 3

# Versions of packages begin with a number: what is no release is older than all.
version=${version#v}
[[ $version =~ ^[0-9] && $version != *[^0-9a-zA-Z.+~-]* && $version == *.* ]] || version=0.0.0~$version
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cp "$program" "$stage/sharetray"
for shell in bash zsh fish; do
	"$stage/sharetray" completion "$shell" >"$stage/sharetray.$shell"
done
mkdir -p "$folder"
export STAGE=$stage PACKAGE_VERSION=$version ARCH
ARCH=$(${GO:-go} env GOARCH)
for format in "$@"; do
	${GO:-go} tool -modfile=packaging/tools.mod nfpm package --config packaging/nfpm.yaml --packager "$format" --target "$folder"
done
