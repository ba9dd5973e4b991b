/*
 * kernel.h
 *		Inner loops of aggregates: vectors in, partial states out.
 *
 * A kernel is what the engine runs in place of an aggregate's transition
 * function. It keeps a small fixed-size state in the record of each group,
 * takes in a whole vector at a time, and in the end emits the very value that
 * core's partial aggregation would hand to Finalize Aggregate: the transition
 * value, serialised where its type is internal.
 *
 * Each aggregate that the engine knows has a row in the table of kernel.c, found by
 * the aggregate's transition function. Everything one kernel needs stands in its
 * BaKernel: no code elsewhere asks which kernel it has before it.
 *
 * A row's value is skipped where it is null or FILTER rejects it. That is all
 * there is to nulls: every aggregate here ignores them.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include "nodes/pathnodes.h"

#include "vector.h"

typedef struct BaKernel BaKernel;

/* One transition state of a query; several Aggrefs with the same aggtransno share it. */
typedef struct BaAgg
{
	const BaKernel *kernel;
	Aggref *aggref;        /* the first that uses it */
	BaType argtype;        /* of its argument; .oid is InvalidOid for count(*) */
	Oid collation;         /* input collation */
	int offset;            /* of its state in a group's record */
	MemoryContext memory;  /* for what states hold out of line: freed as a whole when groups are
						   * thrown away, and counted against the memory limit */
	MemoryContext scratch; /* reset by the caller with each vector and each emitted row */
	void *private;         /* of the kernel, made by its prepare */
} BaAgg;

/* One vector of input. */
typedef struct BaInput
{
	int n;
	const BaVector *value; /* the first argument; NULL for count(*) */
	const BaVector **args; /* all arguments */
	const bool *skip;      /* rows to pass over, NULL for none; covers nulls of any argument */
} BaInput;

struct BaKernel
{
	const char *name;

	/* Work for a row, in calls of a plain operator by core's expression code. */
	double cost;

	/* Bytes of a state, a multiple of 8; records are aligned to 8 bytes (16-byte integers are
	 * read and written with memcpy). */
	int state_size;

	/* Looks up whatever a running query needs, in CurrentMemoryContext, which lives as long as
	 * the BaAgg; or NULL. */
	void (*prepare)(BaAgg *agg);

	/* Starts a state; NULL where all bytes 0 is the start. */
	void (*init)(BaAgg *agg, void *state);

	/* Adds all rows to one state: no GROUP BY. */
	void (*add_all)(BaAgg *agg, void *state, const BaInput *input);

	/* Adds row i to the state in records[i]: at records[i] + agg->offset. */
	void (*add_each)(BaAgg *agg, char **records, const BaInput *input);

	/* The partial state as core's Finalize Aggregate expects it. CurrentMemoryContext is
	 * agg->scratch; may return a pointer into the state. */
	Datum (*emit)(BaAgg *agg, void *state, bool *isnull);
};

/* in kernel.c */
extern const BaKernel *ba_kernel_find(const Aggref *aggref);
extern BaAgg *ba_kernel_create_agg(const BaKernel *kernel, Aggref *aggref, MemoryContext memory,
								   MemoryContext scratch);
extern void ba_kernel_check_acl(const Aggref *aggref);
extern Cost ba_kernel_cost(const BaKernel *kernel);

/*
 * in kernel_serial.c: the serialised form of core's internal states, in CurrentMemoryContext, as
 * core's serialize function of that name gives it: `count` inputs, their sum, and the sum of their
 * squares. A numeric's sum is in units of 10^-scale, its squares in units of 10^-(2 * scale), the
 * lowest word first; scale is the largest of any input, and at_scale inputs had it.
 */
extern Datum ba_kernel_serialize_int8_avg(int64 count, int128 sum); /* int8_avg_serialize */
extern Datum ba_kernel_serialize_poly(int64 count, int128 sum,
									  int128 sum2); /* numeric_poly_serialize */
extern Datum ba_kernel_serialize_int8_var(int64 count, int128 sum, uint128 sum2_low,
										  uint64 sum2_high); /* numeric_serialize of int8s */
extern Datum ba_kernel_serialize_numeric_avg(int64 count, int128 sum, int scale, int64 at_scale);
extern Datum ba_kernel_serialize_numeric(int64 count, int128 sum, const uint64 sum2[3], int scale,
										 int64 at_scale);

/* in kernel_transition.c */
extern bool ba_kernel_is_own_function(Oid transfn);

/* in kernel_count.c, kernel_int.c, … */
extern const BaKernel ba_kernel_count_star; /* count(*) */
extern const BaKernel ba_kernel_count;      /* count(x) */
extern const BaKernel ba_kernel_sum_int4;   /* sum of int2, int4: int8 state */
extern const BaKernel ba_kernel_avg_int4;   /* avg of int2, int4: int8[2] state */
extern const BaKernel ba_kernel_sum_int8;   /* sum and avg of int8: int8_avg_serialize */
extern const BaKernel ba_kernel_var_int4;   /* var, stddev of int2, int4: numeric_poly_serialize */
extern const BaKernel ba_kernel_var_int8;   /* var, stddev of int8: numeric_serialize */
extern const BaKernel ba_kernel_sum_money;  /* sum of money */
extern const BaKernel ba_kernel_min_int;    /* min of what is in BA_LANE_INT */
extern const BaKernel ba_kernel_max_int;
extern const BaKernel ba_kernel_bool_and; /* bool_and, every */
extern const BaKernel ba_kernel_bool_or;
extern const BaKernel ba_kernel_sum_float4;
extern const BaKernel ba_kernel_sum_float8;
extern const BaKernel ba_kernel_var_float; /* avg, var, stddev of floats: float8[3] */
extern const BaKernel ba_kernel_regr;      /* corr, covar, regr_…: float8[6] */
extern const BaKernel ba_kernel_min_float;
extern const BaKernel ba_kernel_max_float;
extern const BaKernel ba_kernel_sum_numeric; /* sum and avg: numeric_avg_serialize */
extern const BaKernel ba_kernel_var_numeric; /* var, stddev: numeric_serialize */
extern const BaKernel ba_kernel_min_numeric;
extern const BaKernel ba_kernel_max_numeric;
extern const BaKernel ba_kernel_min_text;
extern const BaKernel ba_kernel_max_text;
extern const BaKernel ba_kernel_transition; /* the aggregate's own transition function, row by
												 * row: batchagg's exact and stats aggregates */

#endif
