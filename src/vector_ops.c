/*
 * vector_ops.c
 *		Finds the vector operation that computes a function of core.
 *
 * The tables are searched from the start: that happens once for each node of an
 * expression that is compiled.
 */
#include "postgres.h"

#include "vector.h"

/*
 * Returns the operation that computes a function, or NULL.
 */
const BaOp *
ba_op_find(Oid function)
{
	static const BaOp *const tables[] = {ba_ops_int, ba_ops_float, ba_ops_numeric, ba_ops_text,
										 ba_ops_time};

	for (int t = 0; t < lengthof(tables); t++)
		for (const BaOp *op = tables[t]; op->function != InvalidOid; op++)
			if (op->function == function)
				return op;
	return NULL;
}
