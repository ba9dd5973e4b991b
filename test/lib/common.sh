# shellcheck shell=bash
#
# common.sh - what the scripts of test/lib share; to be sourced
#
# PostgreSQL refuses to run as root, and a checkout under a private home cannot
# be read by another user. So nothing is built or run in the checkout: sync_tree
# copies what is needed to the work directory, and as_owner runs a command as
# the user that owns the copy: "postgres" for root, oneself for anybody else.
#
#	top		the checkout
#	work	the work directory: /var/tmp/batchagg-USER-HASH, the hash being of
#			the checkout's path, or BATCHAGG_WORK

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
work=${BATCHAGG_WORK:-/var/tmp/batchagg-$(id -un)-$(printf %s "$top" | cksum | cut -d' ' -f1)}

# The file of flights, a CSV, perhaps packed by xz: DATA, as in make demo DATA=file.
# What make was called with is not meant for the makes that the scripts call; to
# PGXS DATA is something else.
# shellcheck disable=SC2034 # for server.sh
flights=${DATA:-$top/test/data/flights-2001-01.csv.xz}
unset DATA MAKEFLAGS MFLAGS MAKEOVERRIDES

say() { printf '\n== %s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# USER:GROUP that root hands the copies to; check-all sets that of its own tree
owner=postgres:postgres

# A server that outlives its script must not keep sync_tree's lock (9).
as_owner() {
	if [ "$(id -u)" -eq 0 ]; then
		setpriv --reuid "${owner%:*}" --regid "${owner#*:}" --clear-groups -- "$@" 9>&-
	else
		"$@" 9>&-
	fi
}

# Makes the work directory. Its name can be guessed and /var/tmp is everybody's,
# so a directory that another user put there is not used.
make_work() {
	mkdir -p "$work"
	if [ ! -O "$work" ] || [ -L "$work" ]; then
		die "$work exists and is not yours; name another in BATCHAGG_WORK"
	fi
	chmod 755 "$work"
}

# sync_tree DIRECTORY SERVER: makes DIRECTORY a copy of the checkout's build and
# test inputs that belongs to the owner, nothing else in it but what a build there
# left. Objects stay, for make to judge by the sources' kept times, unless SERVER,
# which tells one server's headers from another's, is new, or a file came or went,
# or the Makefile changed: then they go as well. The copy stays locked (descriptor
# 9) as long as the caller lives. Root only reads the checkout and makes the
# directory: what the owner may have put in it is not root's to follow.
sync_tree() {
	local inputs
	exec 9>"$1.lock"
	flock -n 9 || die "another run is using $1"
	mkdir -p "$1"
	[ "$(id -u)" -ne 0 ] || chown -h "$owner" "$1"
	inputs=$(cd "$top" && echo "$2" && cat Makefile && ls src sql)
	# a build in the checkout itself may have left files, perhaps of another major
	# shellcheck disable=SC2016 # for the inner shell to expand
	tar -C "$top" -c --exclude='*.o' --exclude='*.bc' --exclude='batchagg--*.sql' \
		Makefile README.md batchagg.control doc sql src test expected |
		as_owner bash -euc '
			cd "$1"
			[ "$2" = "$(cat .inputs 2>/dev/null)" ] || rm -rf src
			rm -rf Makefile README.md batchagg.control doc sql test expected
			[ ! -d src ] || find src -type f ! -name "*.o" -delete
			tar -x --no-same-owner
			echo "$2" > .inputs
		' - "$1" "$inputs"
}

# The pg_config in use: PG_CONFIG, or that of the newest supported major whose
# server and development files are both installed.
find_pg_config() {
	local major dir
	if [ -n "${PG_CONFIG:-}" ]; then
		command -v "$PG_CONFIG" || die "no $PG_CONFIG"
		return
	fi
	for major in 18 17 16 15; do
		dir=/usr/lib/postgresql/$major
		# pgxs.mk comes with Debian's client package, the headers with the development package
		if [ -x "$dir/bin/postgres" ] && [ -x "$dir/bin/pg_config" ] &&
			[ -e "$("$dir/bin/pg_config" --includedir-server)/postgres.h" ]; then
			echo "$dir/bin/pg_config"
			return
		fi
	done
	return 1
}

# stage_settings PG_CONFIG STAGE: the settings by which a server finds what
# `make install DESTDIR=STAGE` put there. 18 has one of its own for control
# files; before it, Debian's patch has one.
stage_settings() {
	local major
	major=$("$1" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
	echo "dynamic_library_path = '$2$("$1" --pkglibdir):\$libdir'"
	if [ "$major" -ge 18 ]; then
		echo "extension_control_path = '$2$("$1" --sharedir):\$system'"
	else
		echo "extension_destdir = '$2'"
	fi
}
