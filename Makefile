# batchagg: exact, mergeable aggregates and batches run by background workers.
# `make help` lists what a person may type.
#
# The file has two halves. Called by hand it offers the targets below and needs
# nothing installed yet; called again by itself with BATCHAGG_PGXS set it is an
# ordinary PGXS makefile, which needs the server's development package.

ifdef BATCHAGG_PGXS

EXTENSION = batchagg
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(EXTENSION).control)
MODULE_big = $(EXTENSION)
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
DATA_built = sql/$(EXTENSION)--$(EXTVERSION).sql
SQL_PARTS = $(sort $(wildcard sql/[0-9][0-9]_*.sql))
EXTRA_CLEAN = $(DATA_built)

# Warnings that core's own headers raise under -Wextra are left out.
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -fno-math-errno $(BATCHAGG_CFLAGS)

REGRESS = $(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql)))
REGRESS_OPTS += --inputdir=test
ISOLATION = $(sort $(patsubst test/specs/%.spec,%,$(wildcard test/specs/*.spec)))
ISOLATION_OPTS += --inputdir=test --outputdir=.
TAP_TESTS = $(if $(wildcard test/t/*.pl),1)
PROVE_TESTS = test/t/*.pl

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(DATA_built): $(SQL_PARTS) $(EXTENSION).control
	cat $(SQL_PARTS) > $@

$(OBJS): $(wildcard src/*.h)

else

.DEFAULT_GOAL := all
all install installcheck uninstall clean:
	@$(MAKE) --no-print-directory BATCHAGG_PGXS=1 $@
.PHONY: all install installcheck uninstall clean

endif
