/*
 * job_prepared.c
 *		Statements that are run for one batch after the other.
 *
 * A process parses and analyzes them once, and core's plan cache keeps what it may keep of their
 * plans; what they depend on is core's to watch. A few are kept, of which the one that was used least
 * recently is forgotten: a job has one for its batches and one for where they begin. One that is being run is
 * kept, whatever it calls.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "nodes/parsenodes.h"
#include "utils/memutils.h"

#include "batchagg.h"
#include "job.h"

#define MOST_PREPARED 4

/* used last first */
static List *kept = NIL;

/*
 * Forgets a statement, if it is still kept, and frees it once nobody uses it.
 */
static void
forget(BaPrepared *prepared)
{
	kept = list_delete_ptr(kept, prepared);
	prepared->forgotten = true;
	if (prepared->users > 0)
		return;
	SPI_freeplan(prepared->plan);
	pfree(prepared->text);
	pfree(prepared);
}

/*
 * Keeps a statement that was prepared.
 */
static BaPrepared *
keep(const char *text, int ntypes, Oid *types, SPIPlanPtr plan)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	BaPrepared *prepared = palloc0(sizeof(BaPrepared));

	prepared->text = pstrdup(text);
	prepared->ntypes = ntypes;
	memcpy(prepared->types, types, ntypes * sizeof(Oid));
	prepared->plan = plan;
	prepared->engine = batchagg_enabled;
	kept = lcons(prepared, kept);
	MemoryContextSwitchTo(caller);
	return prepared;
}

/*
 * Returns a statement with parameters of the given types, prepared with options of a cursor. It is to be
 * released. A text always comes with the same options. One whose plans may be the engine's is not for who has switched
 * that off, nor the other way round.
 */
BaPrepared *
ba_prepared_get(const char *text, int ntypes, Oid *types, int options)
{
	BaPrepared *prepared;
	SPIPlanPtr plan;
	ListCell *lc;

	Assert(ntypes <= lengthof(prepared->types));
	foreach (lc, kept)
	{
		prepared = lfirst(lc);
		if (prepared->ntypes == ntypes && prepared->engine == batchagg_enabled &&
			memcmp(prepared->types, types, ntypes * sizeof(Oid)) == 0 &&
			strcmp(prepared->text, text) == 0)
		{
			if (prepared != linitial(kept))
				kept = lcons(prepared, list_delete_cell(kept, lc));
			prepared->users++;
			return prepared;
		}
	}

	SPI_connect();
	plan = SPI_prepare_cursor(text, ntypes, types, options);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", text, SPI_result_code_string(SPI_result));
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "could not keep the plan of \"%s\"", text);
	SPI_finish();
	prepared = keep(text, ntypes, types, plan);
	prepared->users++;
	for (int i = list_length(kept) - 1; i >= MOST_PREPARED; i--)
		if (((BaPrepared *) list_nth(kept, i))->users == 0)
			forget(list_nth(kept, i));
	return prepared;
}

/*
 * Lets go of a statement; if it is to be forgotten it is prepared anew when it is asked for again.
 */
void
ba_prepared_release(BaPrepared *prepared, bool to_forget)
{
	Assert(prepared->users > 0);
	prepared->users--;
	if (to_forget || prepared->forgotten)
		forget(prepared);
}
