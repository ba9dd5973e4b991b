/*
 * vector.h
 *		Column vectors, and expressions over them.
 *
 * The engine looks at some hundred rows at a time. BaRows is such a set of rows:
 * tuples of one table, dense, numbered 0..n-1. Filters make it smaller. A
 * BaVector holds the values that one expression has for these rows, in one of
 * four lanes, so that an inner loop need not know the many types of SQL:
 *
 *		BA_LANE_INT			int64: every pass-by-value type but the floats (bool, int2,
 *							int4, int8, oid, date, time, timestamp, timestamptz, money,
 *							enums); sign-extended from the width it is stored in
 *		BA_LANE_FLOAT		double: float8, and float4 (each a value that float4 has)
 *		BA_LANE_NUMERIC		numeric as int64 = value * 10^scale, where every row has that
 *							dscale (or less, as `scales` tells), none is NaN or infinite
 *							and each fits
 *		BA_LANE_DATUM		pointers: text, uuid, and numerics as they are stored. They
 *							may point into a pinned page or into rows->memory, may have a
 *							short header, and may be compressed or out of line
 *							(ba_vector_detoast)
 *
 * An expression is compiled into a tree of BaExpr nodes, each with a function
 * that computes a whole vector. Equal expressions become one node, and a node
 * remembers its result until rows->stamp changes, so shared parts are computed
 * once.
 *
 * There is one failure mode. A node that meets what it cannot do exactly (an
 * overflow, a division by zero, a numeric that is not of its vector's scale)
 * gives up by returning NULL. Then the root of the expression is evaluated row
 * by row by core's own expression code, which gives the right value or raises
 * the right error. Kernels therefore raise no errors, and a node may compute
 * what core would not have: both sides of an AND, every branch of a CASE.
 * Whatever calls a function of core, which may raise an error, stands where core would call
 * it for every row as well, or is computed for just the rows that core would (vector_lazy.c).
 * Expressions with a part that is not known here go to core's code from the
 * start.
 *
 * Memory: nodes and their result buffers live as long as the BaExprProgram;
 * by-reference values that are computed live in rows->memory, which is reset
 * with each new set of rows. No more than BA_LONG_BYTES of them are held for an expression:
 * an operation gives up beyond, core's code stops at some row, and whoever wants such
 * values takes the rows a slice at a time (ba_expr_evaluate_long, vector_slice.c).
 */
#ifndef VECTOR_H
#define VECTOR_H

#include "access/attnum.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
#include "nodes/primnodes.h"

/*
 * Rows in a vector at most: result buffers of a dozen nodes stay in the L2 cache. A page has fewer
 * tuples than that, unless core is configured for its largest pages.
 */
#if BLCKSZ > 16384
#define BA_VECTOR_ROWS 2048
#else
#define BA_VECTOR_ROWS 1024
#endif

/*
 * Bytes that the values of one expression may take for a set of rows; one value may be longer. Where
 * they are more, the rows are worked on a slice at a time.
 */
#define BA_LONG_BYTES (1024 * 1024)

typedef enum BaLane
{
	BA_LANE_INT,
	BA_LANE_FLOAT,
	BA_LANE_NUMERIC,
	BA_LANE_DATUM,
} BaLane;

/* A type, base type of a domain, as far as vectors need to know it. */
typedef struct BaType
{
	Oid oid;
	int16 len;
	bool byval;
	char align;
	BaLane lane; /* of a stored column; computed numerics may be in BA_LANE_NUMERIC instead */
} BaType;

typedef struct BaVector
{
	BaType type;
	BaLane lane;
	int scale;           /* BA_LANE_NUMERIC: digits behind the point */
	const uint8 *scales; /* BA_LANE_NUMERIC: how many of them each row displays, where some do less
						  * than `scale`; else NULL */
	bool constant; /* every row has the value of row 0 (all rows are filled in all the same) */
	bool extended; /* BA_LANE_DATUM: some varlena may be compressed or out of line */
	bool *nulls;   /* NULL where no row is null; a null row's value is 0 or any safe value,
					* in BA_LANE_DATUM (Datum) 0. May be another vector's: not to be written */
	union
	{
		int64 *ints;
		double *floats;
		Datum *datums;
	};
} BaVector;

/*
 * Some rows of one table. The scan layer makes them (scan.h) and provides the
 * functions below.
 */
typedef struct BaRows BaRows;

typedef struct BaRowsOps
{
	/* The values of a user column for all rows; valid until the rows change. Never gives up. */
	const BaVector *(*load_column)(BaRows *rows, AttrNumber attno);

	/* Puts one row into the slot that core's expression code reads (rows->slot). */
	void (*store_slot)(BaRows *rows, int row);
} BaRowsOps;

struct BaRows
{
	int n;                /* rows, at most BA_VECTOR_ROWS */
	uint64 stamp;         /* changes whenever the rows do; never 0 */
	MemoryContext memory; /* for values computed for these rows */
	TupleTableSlot *slot; /* of the table's row type */
	const BaRowsOps *ops;
};

/*
 * A node: an operation with its operands and its latest result.
 */
typedef struct BaExpr BaExpr;
typedef struct BaExprProgram BaExprProgram;

/* Computes a node for all rows; NULL to give up. The result is valid until the rows change. */
typedef const BaVector *(*BaExprEval)(BaExpr *expr, BaRows *rows);

struct BaExpr
{
	BaExprEval eval;
	BaExprProgram *program;
	Expr *source; /* what it was compiled from */
	uint64 stamp; /* rows that `latest` belongs to */
	const BaVector *latest;
	BaVector result; /* buffers of its own, allocated by ba_vector_init */
	int nargs;
	BaExpr **args;
	void *private; /* of the operation: a constant, a function, a pattern, … */
};

/*
 * All expressions of one node of a plan: what they share.
 */
struct BaExprProgram
{
	PlanState *parent;     /* for core's expression states; NULL while planning */
	ExprContext *econtext; /* likewise; its scan tuple is set to rows->slot */
	Index scanrelid;       /* varno of the table's columns */
	MemoryContext memory;  /* of nodes and buffers */
	List *nodes;           /* every BaExpr made, to find equal ones */
	uint64 core_rows;      /* rows that core's code evaluated, for EXPLAIN */
};

/* The room for nulls that ba_vector_init made behind the values. */
static inline bool *
ba_vector_null_buffer(BaVector *vector)
{
	return (bool *) (vector->ints + BA_VECTOR_ROWS);
}

/* in vector.c */
extern BaType ba_vector_type(Oid type);
extern void ba_vector_init(BaVector *vector, BaType type, BaLane lane);
extern Datum ba_vector_get_datum(const BaVector *vector, int row, MemoryContext memory);
extern void ba_vector_set_datum(BaVector *vector, int row, Datum value);
extern void ba_vector_set_null(BaVector *vector, int row);
extern void ba_vector_detoast(BaVector *vector, int n, MemoryContext memory);
extern void ba_vector_find_untrue(bool *rejected, const BaVector *condition, const bool *already,
								  int n);
extern const bool *ba_vector_unite_nulls(bool *buffer, const bool *a, const bool *b, int n);

/* in vector_slice.c: rows next to each other as a set of their own */
typedef struct BaSlice BaSlice;

extern BaSlice *ba_slice_create(MemoryContext memory);
extern BaRows *ba_slice_take(BaSlice *slice, BaRows *all, int first, int n);

/* in vector_expr.c: compiling and evaluating */
extern BaExprProgram *ba_expr_create_program(PlanState *parent, Index scanrelid);
extern BaExpr *ba_expr_compile(BaExprProgram *program, Expr *expr);
extern int ba_expr_evaluate_long(BaExpr *root, BaRows *rows);
extern const BaVector *ba_expr_evaluate(BaExpr *root, BaRows *rows);
extern BaVector *ba_expr_begin_result(BaExpr *expr, BaLane lane);
extern void ba_expr_rescan(BaExprProgram *program);
extern bool ba_expr_is_supported(Node *expr, Index scanrelid);
extern Cost ba_expr_cost(PlannerInfo *root, Expr *expr, Index scanrelid);

/*
 * For the files that know operations (vector_ops_*.c). Each has a table of the functions of core
 * that it computes, found by OID, which is the same in every database and major.
 */
typedef struct BaOp
{
	Oid function;    /* F_… of fmgroids.h */
	BaExprEval eval; /* args[] are compiled; result.type is set, its buffers are not */
	BaLane lane;     /* of the result */
} BaOp;

extern const BaOp *ba_op_find(Oid function); /* in vector_ops.c: looks in all the tables */
extern const BaOp ba_ops_int[];              /* in vector_ops_int.c; each ends with function 0 */
extern const BaOp ba_ops_float[];            /* in vector_ops_float.c */
extern const BaOp ba_ops_numeric[];          /* in vector_ops_numeric.c */
extern const BaOp ba_ops_text[];             /* in vector_ops_text.c */
extern const BaOp ba_ops_time[];             /* in vector_ops_time.c */

/* Evaluates an operand: its latest result, or computes it; NULL where it gives up. */
static inline const BaVector *
ba_expr_get(BaExpr *expr, BaRows *rows)
{
	if (expr->stamp != rows->stamp)
	{
		expr->latest = expr->eval(expr, rows);
		expr->stamp = rows->stamp;
	}
	return expr->latest;
}

/*
 * in vector_numeric.c: numerics as scaled integers. A vector in BA_LANE_NUMERIC has a scale of at
 * most BA_NUMERIC_MAX_SCALE.
 */
#define BA_NUMERIC_MAX_SCALE 18

/* A finite numeric: the first digit, base 10000, counts 10000^weight. */
typedef struct BaNumericDigits
{
	bool negative;
	int scale;
	int weight;
	int ndigits;
	const int16 *digits; /* in the buffer */
	int16 buffer[20];    /* room for 192 bits, worked out four digits at a time */
} BaNumericDigits;

extern const int64 ba_numeric_powers[BA_NUMERIC_MAX_SCALE + 1]; /* 10^i */
extern bool ba_numeric_decode(Datum numeric, int64 *value, int *scale);
extern const BaVector *ba_numeric_decode_vector(const BaVector *numerics, int n, BaVector *result);
extern Datum ba_numeric_encode(int128 value, int scale);
extern int64 ba_numeric_get(const BaVector *vector, int row, int *scale);
extern bool ba_numeric_rescale(int64 *value, int from, int to);
extern void ba_numeric_split(const uint64 magnitude[3], bool negative, int scale,
							 BaNumericDigits *digits);

#endif
