#!/bin/sh
# Installs the supervisors that the benchmark compares Sharetray with: runit, s6
# and supervisord from Debian (as root), pm2 from npm into bench/.peers.
# What can't be installed is named; the benchmark then leaves it out and says so.
set -u
cd "$(dirname "$0")" || exit 1
missing=

# Debian starts what it installs, and these must be started by the benchmark only.
policy=/usr/sbin/policy-rc.d
forbid_starting() {
	[ -e "$policy" ] && return
	printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" || return
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' INT TERM
}

apt_install() {
	DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
		install -y -qq --no-install-recommends "$1" >/dev/null
}

# from_debian PACKAGE COMMAND: makes sure that COMMAND is there.
from_debian() {
	if PATH="$PATH:/usr/sbin:/sbin" command -v "$2" >/dev/null; then
		echo "$1: already there"
	elif ! command -v apt-get >/dev/null; then
		missing="$missing
  $1 (no apt-get)"
	elif [ "$(id -u)" -ne 0 ]; then
		missing="$missing
  $1 (needs root: apt-get install --no-install-recommends $1)"
	elif forbid_starting && { apt_install "$1" 2>/dev/null || { apt-get update -qq && apt_install "$1"; }; }; then
		echo "$1: installed"
	else
		missing="$missing
  $1 (apt-get failed)"
	fi
}

from_npm() {
	if [ -x ".peers/node_modules/.bin/$1" ]; then
		echo "$1: already there"
	elif ! command -v npm >/dev/null; then
		missing="$missing
  $1 (no npm)"
	elif npm install --prefix .peers --no-audit --no-fund --loglevel=error "$1" >/dev/null; then
		echo "$1: installed"
	else
		missing="$missing
  $1 (npm failed)"
	fi
}

from_debian runit runsvdir
from_debian s6 s6-svscan
from_debian supervisor supervisord
from_debian rclone rclone
from_debian socat socat
from_npm pm2

if [ -n "$missing" ]; then
	echo "not installed, so the benchmark will leave out:$missing" >&2
fi
