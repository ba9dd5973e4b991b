"""What the benches share: a server's tables, sessions, the memory of processes.

The server is the one that PGHOST and PGPORT name. Its tables are made once, as
far as they are missing, in the database PGDATABASE ("bench"):

    flights   the flights of the file in BENCH_DATA
    numbers   BENCH_ROWS generated rows (20 million unless told otherwise) of
              about 65 bytes: ints, float8, timestamp, numeric(10,2)
    fresh     a copy of numbers that no VACUUM has ever seen
    entries   a copy of numbers in the order of id, its primary key
    words     half as many rows with short texts of 10 and of 1000 values
    behind    a quarter as many, whose numbers stand behind texts and a numeric
    lineitem  three tenths as many: the table of that name of TPC-H, with its
              types and distributions

They are unlogged, so that no checkpoint writes them out while something is timed,
and read into shared buffers before anything is.
"""

import os
import re
import subprocess
import sys
import threading
import time

ROWS = int(os.environ.get("BENCH_ROWS", "20000000"))
DATA = os.environ.get("BENCH_DATA", "test/data/flights-2001-01.csv.xz")
ONLY = os.environ.get("BENCH_ONLY", "")

PSQL = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
DB = os.environ.get("PGDATABASE", "bench")

SERIAL = "SET max_parallel_workers_per_gather = 0;"
PARALLEL = "SET max_parallel_workers_per_gather = 1;"


def rounds(default):
    """How often everything is measured: BENCH_ROUNDS."""
    return int(os.environ.get("BENCH_ROUNDS") or default)


def psql(script, db=DB):
    """The output of a psql script; a failing statement ends the bench."""
    done = subprocess.run(PSQL + ["-d", db, "-f", "-"], input=script, text=True,
                          capture_output=True)
    if done.returncode != 0:
        sys.exit(f"bench: psql failed\n{script}\n{done.stderr}")
    return done.stdout


def psql_each(scripts):
    """Runs scripts in sessions of their own, all at once."""
    failed = []

    def run(script):
        try:
            psql(script)
        except SystemExit as end:
            failed.append(end)

    threads = [threading.Thread(target=run, args=(script,)) for script in scripts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


class Session:
    """A psql that stays connected, asked one thing after another."""

    def __init__(self, settings):
        self.process = subprocess.Popen(PSQL + ["-d", DB], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self.ask(settings)

    def ask(self, script):
        """The lines that a script prints."""
        self.process.stdin.write(script + "\n\\echo :DONE\n")
        self.process.stdin.flush()
        answer = []
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line == ":DONE":
                return answer
            answer.append(line)
        sys.exit(f"bench: psql failed\n{script}\n" + "\n".join(answer))

    def time(self, statement, keep=False):
        """How many ms a statement took; and, to keep, its rows."""
        end = ";" if keep else "\\g /dev/null"
        answer = self.ask(f"\\timing on\n{statement} {end}\n\\timing off")
        return (float(re.fullmatch(r"Time: ([0-9.]+) ms.*", answer[-1]).group(1)),
                [row.split("|") for row in answer[:-1]])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# name: (columns, how rows first..last are inserted, part of ROWS, what makes it ready)
VACUUM = "VACUUM (FREEZE, ANALYZE) %s;"
NUMBERS = ("id int, g10 int, g1000 int, g1m int, x float8, ts timestamp, price numeric(10,2)", """
    SELECT i, h % 10, (h >> 8) % 1000, (h >> 20) % 1000000,
           ((h >> 30 & 16777215) / 1024.0 - 1000)::float8 * 1.1,
           timestamp '2001-01-01' + i * interval '1 second',
           ((h >> 36) % 1000000) / 100.0
    FROM (SELECT i, hashint8extended(i, 1) & 9223372036854775807 AS h
          FROM generate_series({first}, {last}) AS i) AS s""")
TABLES = {
    "numbers": (*NUMBERS, 1, VACUUM),
    "entries": (*NUMBERS, 1, "ALTER TABLE %s ADD PRIMARY KEY (id); CLUSTER %s USING %s_pkey;" + VACUUM),
    "fresh": ("LIKE numbers", "SELECT * FROM numbers WHERE id BETWEEN {first} AND {last}", 1,
              # reading it leaves hint bits, as any query does
              "ANALYZE %s; SELECT count(*) FROM %s;"),
    "words": ("id int, n int, x float8, w10 text, w1000 text", """
        SELECT i, (h >> 20) % 1000000, (h >> 30 & 16777215) / 1024.0,
               (array['AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB', 'REG AIR', 'BIKE', 'TRAM', 'FOOT'])[1 + h % 10],
               'sku-' || (h >> 8) % 1000
        FROM (SELECT i, hashint8extended(i, 2) & 9223372036854775807 AS h
              FROM generate_series({first}, {last}) AS i) AS s""", 1 / 2, VACUUM),
    "behind": ("name text, note text, price numeric(10,2), id int, g1000 int, x float8, ts timestamp", """
        SELECT 'customer ' || h % 100000, repeat('x', (h >> 20 & 31)::int), ((h >> 36) % 1000000) / 100.0,
               i, (h >> 8) % 1000, (h >> 30 & 16777215) / 1024.0,
               timestamp '2001-01-01' + i * interval '1 second'
        FROM (SELECT i, hashint8extended(i, 3) & 9223372036854775807 AS h
              FROM generate_series({first}, {last}) AS i) AS s""", 1 / 4, VACUUM),
    "lineitem": ("""
        l_orderkey int, l_partkey int, l_suppkey int, l_linenumber int, l_quantity numeric(15,2),
        l_extendedprice numeric(15,2), l_discount numeric(15,2), l_tax numeric(15,2), l_returnflag char(1),
        l_linestatus char(1), l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct char(25),
        l_shipmode char(10), l_comment varchar(44)""", """
        SELECT i / 4, part, part % 10000 + 1, i % 4 + 1, quantity,
               quantity * (90000 + part / 10 % 20001 + 100 * (part % 1000)) / 100.0,
               (h >> 8) % 11 / 100.0, (h >> 12) % 9 / 100.0,
               CASE WHEN received > date '1995-06-17' THEN 'N' WHEN h & 1 = 0 THEN 'R' ELSE 'A' END,
               CASE WHEN shipped > date '1995-06-17' THEN 'O' ELSE 'F' END,
               shipped, ordered + 30 + (h >> 16 & 63)::int, received,
               (array['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'])[1 + (h >> 3 & 3)],
               (array['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'])[1 + (h >> 5) % 7],
               substr('carefully final deposits sleep quickly after it', 1 + (h >> 9 & 3)::int, 10 + (h >> 40 & 31)::int)
        FROM (SELECT *, ordered + 1 + (k % 121)::int AS shipped, ordered + 2 + (k % 121 + (k >> 8) % 30)::int AS received
              FROM (SELECT i, h, k, 1 + (k >> 24) % 200000 AS part, 1 + (h >> 32) % 50 AS quantity,
                           date '1992-01-01' + ((h >> 44) % 2406)::int AS ordered
                    FROM (SELECT i, hashint8extended(i, 4) & 9223372036854775807 AS h,
                                 hashint8extended(i, 5) & 9223372036854775807 AS k
                          FROM generate_series({first}, {last}) AS i) AS draw) AS item) AS dated""", 3 / 10, VACUUM),
}


def make_table(name):
    if name == "flights":
        psql(f"""
            CREATE UNLOGGED TABLE flights (date timestamp, delay int, distance int, origin text, destination text);
            \\copy flights FROM PROGRAM 'xz -dcf {os.path.abspath(DATA)}' WITH (FORMAT csv, HEADER)
            {VACUUM % name}""")
        return
    columns, rows, part, ready = TABLES[name]
    # no vacuum before its time; it is done by hand
    psql(f"CREATE UNLOGGED TABLE {name} ({columns}) WITH (autovacuum_enabled = off)")
    count, processes = int(ROWS * part), os.cpu_count()
    edges = [count * i // processes for i in range(processes + 1)]
    psql_each(SERIAL + f"SET batchagg.enabled = off; INSERT INTO {name} {rows.format(first=first + 1, last=last)}"
              for first, last in zip(edges, edges[1:]))
    psql(ready.replace("%s", name))


def prepare(tables):
    """Makes the tables where they are missing and reads them into memory."""
    if psql("SELECT 1 FROM pg_database WHERE datname = '%s'" % DB, "postgres").strip() != "1":
        psql(f"CREATE DATABASE {DB}", "postgres")
    psql("CREATE EXTENSION IF NOT EXISTS batchagg; CREATE EXTENSION IF NOT EXISTS pg_prewarm;")
    # in every session from now on
    psql(f"ALTER DATABASE {DB} SET session_preload_libraries = 'batchagg'")
    for name in tables:
        # a crash empties unlogged tables
        if psql(f"SELECT coalesce(pg_relation_size(to_regclass('{name}')), 0)").strip() == "0":
            psql(f"DROP TABLE IF EXISTS {name}")
            make_table(name)
    names = "unnest(ARRAY%s) AS name" % list(tables)
    pages, buffers = map(int, psql(f"""
        SELECT sum(pg_prewarm(name::regclass)), (SELECT setting FROM pg_settings WHERE name = 'shared_buffers')
        FROM {names}""").split("|"))
    sizes = psql(f"""
        SELECT string_agg(name || ' ' || pg_size_pretty(pg_relation_size(name::regclass)), ', ') FROM {names}""").strip()
    print(f"{psql('SELECT version()').strip()}\n{sizes} in {buffers // 128} MB of shared buffers")
    if pages > buffers:
        print("They do not fit, so the figures are of reading files; take fewer BENCH_ROWS.")


def private_peak(settings, statement, title=""):
    """The largest private memory (kB) of any server process, or of those with a word in their title, while a
    statement runs. Without JIT, whose code takes some 25 MB a process however many rows there are."""
    peak = 0
    stop = threading.Event()
    postmaster = int(psql("SELECT pg_read_file('postmaster.pid')").split()[0])

    def watch():
        nonlocal peak
        while not stop.is_set():
            try:
                with open(f"/proc/{postmaster}/task/{postmaster}/children") as f:
                    children = f.read().split()
            except OSError:
                break
            for pid in children:
                try:
                    with open(f"/proc/{pid}/cmdline") as f:
                        if title not in f.read():
                            continue
                    with open(f"/proc/{pid}/status") as f:
                        text = f.read()
                    peak = max(peak, int(re.search(r"RssAnon:\s+(\d+)", text).group(1)))
                except (OSError, AttributeError):
                    pass
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    psql(f"SET jit = off; {settings} {statement} \\g /dev/null\n")
    stop.set()
    watcher.join()
    return peak
