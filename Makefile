# batchagg: exact, mergeable aggregates and batches run by background workers.
# `make help` lists what a person may type.
#
# The file has two halves. Called by hand it offers the targets below and needs
# nothing installed yet; called again by itself with BATCHAGG_PGXS set it is an
# ordinary PGXS makefile, which needs the server's development package.

ifndef BATCHAGG_PGXS

.DEFAULT_GOAL := all

# PGXS's own targets; PG_CONFIG=... chooses the server
all: ## build the extension for the server that PG_CONFIG belongs to
install: ## install it there
uninstall: ## remove it from there
installcheck: ## run the tests against that server, which must be running
all install uninstall installcheck:
	@$(MAKE) --no-print-directory BATCHAGG_PGXS=1 $@
clean: ## remove what the build and the targets below left
	@$(MAKE) --no-print-directory BATCHAGG_PGXS=1 $@
	@bash -c '. test/lib/common.sh && rm -rf "$$work"'

deps: ## install the Debian packages that demo and check need, where missing
	@test/lib/deps server

demo: ## watch real flights being aggregated by workers; DATA=file.csv.xz for more
psql: ## open psql on a temporary server with the flights loaded
bench: ## measure against core; prints the table of doc/performance.md
check: ## run every test on this machine's server, which stays untouched
demo psql bench check: deps
	@test/lib/$@

check-all: ## run every test on PostgreSQL 15, 17 and 18, in a tree of their own (root)
	@test/lib/deps root
	@test/lib/check-all

lint: ## check formatting, layers, shell scripts and versions
	@test/lib/deps lint
	@test/lib/lint

format: ## format the C sources
	@test/lib/deps lint
	clang-format -i src/*.c src/*.h

help: ## list these targets
	@sed -n 's/^\([a-z-]*\): ## \(.*\)/\1|\2/p' Makefile | awk -F '|' '{ printf "make %-13s %s\n", $$1, $$2 }'

.PHONY: all install uninstall installcheck clean deps demo psql bench check check-all lint format help

else

EXTENSION = batchagg
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(EXTENSION).control)
MODULE_big = $(EXTENSION)
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
DATA_built = sql/$(EXTENSION)--$(EXTVERSION).sql
SQL_PARTS = $(sort $(wildcard sql/[0-9][0-9]_*.sql))
EXTRA_CLEAN = $(DATA_built)

# Warnings that core's own headers raise under -Wextra are left out. The headers
# of 15 declare callbacks with (), which newer compilers' C23 reads as (void). Protected
# symbols are not looked up when the library is loaded, nor at calls within it.
PG_CFLAGS = -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -fno-math-errno -fvisibility=protected $(BATCHAGG_CFLAGS)

# The runners take answers from expected/, inputs from test/ (and from ./sql
# first: a part of the install script must not have a test's name).
# PGXS runs the harnesses whose list is defined; := leaves an empty one undefined.
REGRESS := $(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql)))
REGRESS_OPTS += --inputdir=test --load-extension=$(EXTENSION) --encoding=UTF8
ISOLATION := $(sort $(patsubst test/specs/%.spec,%,$(wildcard test/specs/*.spec)))
ISOLATION_OPTS += --inputdir=test --outputdir=. --load-extension=$(EXTENSION)
TAP_TESTS := $(if $(wildcard test/t/*.pl),1)
PROVE_TESTS = test/t/*.pl
ifneq ($(filter $(notdir $(basename $(wildcard sql/*.sql))),$(REGRESS)),)
$(error a test and a file of sql/ have the same name)
endif

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(wildcard $(PGXS)),)
$(error $(PG_CONFIG) finds no server development files; on Debian, `make deps` installs them)
endif
include $(PGXS)

$(DATA_built): $(SQL_PARTS) $(EXTENSION).control
	cat $(SQL_PARTS) > $@

$(OBJS): $(wildcard src/*.h)

# what core gives its own few vector loops
$(filter src/vector% src/scan% src/kernel% src/group%,$(OBJS)): CFLAGS += $(CFLAGS_VECTORIZE)

endif
