/*
 * compat.h
 *		The only place that knows the server's version.
 *
 * Older majors are wrapped into the newest major's interface, so that the code
 * is written against 18 and reads like it. Each wrapper says what changed.
 */
#ifndef BATCHAGG_COMPAT_H
#define BATCHAGG_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "batchagg needs PostgreSQL 15 or later"
#endif

#ifndef HAVE_INT128
#error "batchagg needs a compiler with 128-bit integers"
#endif

/* 16 added soft errors of input functions; before, an error is an error */
#if PG_VERSION_NUM < 160000
#define ereturn(context, dummy_value, ...) ereport(ERROR, __VA_ARGS__)
#endif

/* fetch of core's limit on workers: guc headers moved it between majors */
#include "optimizer/cost.h"
#include "postmaster/bgworker_internals.h"

#endif
