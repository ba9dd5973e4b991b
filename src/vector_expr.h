/*
 * vector_expr.h
 *		Inside of the vector layer: compiling, and the nodes that are no operation
 *		of a table.
 *
 * A compile function returns NULL for what it does not know; the root then goes
 * to core's code as a whole.
 */
#ifndef VECTOR_EXPR_H
#define VECTOR_EXPR_H

#include "vector.h"

typedef struct BaExprCompiler
{
	BaExprProgram *program;
	bool conditional; /* core may not get here for each row: nothing that can raise an error */
} BaExprCompiler;

/* in vector_compile.c */
extern BaExpr *ba_expr_compile_node(BaExprCompiler *compiler, Expr *expr);
extern BaExpr *ba_expr_make_node(BaExprProgram *program, BaExprEval eval, Expr *source, List *args);

/* in vector_leaf.c: what an expression starts from */
extern const BaVector *ba_leaf_eval_var(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_leaf_eval_const(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_leaf_eval_once(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_leaf_eval_param(BaExpr *expr, BaRows *rows);
extern bool ba_leaf_get_constant(BaExpr *expr, Datum *value, bool *isnull, uint64 *version);
extern void ba_leaf_rescan(BaExpr *expr);

#endif
