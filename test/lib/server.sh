# shellcheck shell=bash
#
# server.sh - a temporary server with the extension built as users get it; to be
# sourced by demo, psql and bench; brings common.sh along
#
#	start_server [SETTING=VALUE...]	builds without assertions, stages, starts
#	load_flights					table flights from $flights
#	run_psql ARGUMENT...			psql on that server
#	stop_server						is called at exit as well
#
# The server listens on a socket in a directory of its own, which nobody else
# may enter, and on no port. Its files are in the work directory; they are thrown
# away when it stops, so nothing is synced to disk.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

socket=

[ -r "$flights" ] || die "cannot read $flights"

start_server() {
	local tree=$work/server data=$work/server/build/data
	pg_config=$(find_pg_config) || die "no PostgreSQL with its development files; try: make deps"
	bindir=$("$pg_config" --bindir)
	make_work
	sync_tree "$tree" "$("$pg_config" --version)"

	say "Building batchagg for $("$pg_config" --version)"
	cd "$tree"
	# one left by a run that was killed
	[ ! -e "$data/postmaster.pid" ] || as_owner "$bindir/pg_ctl" -s -D "$data" -m immediate stop || true
	as_owner rm -rf build
	as_owner mkdir build
	# some warnings, as of variables that only assertions use, show in this build alone
	run_quietly build/make.log make -j2 BATCHAGG_PGXS=1 PG_CONFIG="$pg_config" with_llvm=no all \
		COPT="${CI:+-Werror}"
	run_quietly build/make.log make BATCHAGG_PGXS=1 PG_CONFIG="$pg_config" with_llvm=no install \
		DESTDIR="$tree/build/stage"

	say "Starting a temporary server"
	socket=$(as_owner mktemp -d /tmp/batchagg.XXXXXX)
	trap stop_server EXIT
	run_quietly build/initdb.log env LC_ALL=C.UTF-8 "$bindir/initdb" -D "$data" -U postgres -A trust --no-sync
	{
		stage_settings "$pg_config" "$tree/build/stage"
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$socket'"
		echo "fsync = off"
		echo "max_wal_size = 8GB"
		echo "shared_buffers = $(memory_share 4 1024)"
		echo "log_min_messages = error"
		printf '%s\n' "$@"
	} | as_owner tee -a "$data/postgresql.conf" >/dev/null
	as_owner "$bindir/pg_ctl" -s -w -D "$data" -l "$tree/build/server.log" start ||
		{ cat build/server.log >&2; die "the server did not start"; }
	cd "$top"
	run_psql -q -c 'CREATE EXTENSION batchagg'
}

# memory_share DIVISOR LIMIT: that part of the machine's memory, at most LIMIT megabytes
memory_share() {
	awk -v divisor="$1" -v limit="$2" '
		/^MemTotal/ { mb = int($2 / 1024 / divisor); print (mb > limit ? limit : mb) "MB" }' /proc/meminfo
}

stop_server() {
	trap - EXIT
	if [ -n "$socket" ]; then
		cd "$work" # the owner may not be able to enter the checkout
		as_owner "$bindir/pg_ctl" -s -D "$work/server/build/data" -m immediate stop || true
		rm -rf "$work/server/build/data" "$socket"
		socket=
	fi
}

run_psql() {
	"$bindir/psql" -X -v ON_ERROR_STOP=1 -h "$socket" -U postgres -d postgres "$@" 9>&-
}

# run_quietly LOG COMMAND...: as the owner; shows the output only if it fails
run_quietly() {
	local log=$1
	shift
	as_owner "$@" >"$log" 2>&1 || { cat "$log" >&2; die "failed: $*"; }
}

load_flights() {
	say "Loading $(basename "$flights")"
	run_psql -q -c 'CREATE TABLE flights (date timestamp, delay int, distance int, origin text, destination text)'
	xz -dcf "$flights" | run_psql -q -c '\copy flights FROM STDIN (FORMAT csv, HEADER)'
	run_psql -q -c 'VACUUM (ANALYZE) flights'
}
