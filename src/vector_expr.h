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

/*
 * Whether to try again what gave up for so many vectors in a row: data that overflows or is not of
 * one scale usually stays so.
 */
static inline bool
ba_expr_is_worth_trying(int failures)
{
	return failures < 4 || failures % 32 == 0;
}

/* in vector_compile.c */
extern BaExpr *ba_expr_compile_node(BaExprCompiler *compiler, Expr *expr);
extern BaExpr *ba_expr_make_node(BaExprProgram *program, BaExprEval eval, Expr *source, List *args);

extern BaExpr *ba_expr_append_node(BaExprProgram *program, BaExprEval eval, Expr *source,
								   List *args);

/* in vector_expr.c */
extern BaExpr *ba_expr_compile_root(BaExprProgram *program, Expr *expr);

/* in vector_lazy.c: operands of AND, OR, CASE and COALESCE that only some rows need */
extern BaExpr *ba_lazy_create(BaExprProgram *program, Expr *source, BaExpr *eager);
extern const BaVector *ba_lazy_eval(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_lazy_get(BaExpr *expr, BaRows *rows, const int64 *mask);
extern void ba_lazy_rescan(BaExpr *expr);

/* in vector_leaf.c: what an expression starts from */
extern const BaVector *ba_leaf_eval_var(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_leaf_eval_const(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_leaf_eval_once(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_leaf_eval_param(BaExpr *expr, BaRows *rows);
extern bool ba_leaf_get_constant(BaExpr *expr, Datum *value, bool *isnull, uint64 *version);
extern void ba_leaf_rescan(BaExpr *expr);

/* in vector_logic.c; each says what its operands are */
extern const BaVector *ba_logic_eval_and(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_logic_eval_or(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_logic_eval_not(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_logic_eval_null_test(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_logic_eval_boolean_test(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_logic_eval_distinct(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_logic_eval_case(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_logic_eval_coalesce(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_logic_eval_nullif(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_logic_eval_min_max(BaExpr *expr, BaRows *rows);

/* in vector_call.c: functions of core or of anybody, called for each row */
extern const BaVector *ba_call_eval(BaExpr *expr, BaRows *rows);
extern bool ba_call_is_possible(Oid function);
extern Oid ba_call_get_function(const BaExpr *expr);

/* in vector_array.c: = ANY and <> ALL of an array without columns */
extern const BaVector *ba_array_eval(BaExpr *expr, BaRows *rows);
extern bool ba_array_is_possible(ScalarArrayOpExpr *expr);

#endif
