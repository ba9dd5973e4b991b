// Runs statements in an in-memory DuckDB for test/bench/engine. The argument is the directory that
// @duckdb/node-api was installed in; a line of JSON in is {sql, threads, rounds}, a line out is
// {ms: the times, rows: of the answer} or {error}.

const readline = require('readline');
const { DuckDBInstance, version } = require(process.argv[2] + '/node_modules/@duckdb/node-api');

async function main() {
	const connection = await (await DuckDBInstance.create(':memory:')).connect();
	const answer = (object) => process.stdout.write(JSON.stringify(object) + '\n');
	answer({ version: version() });
	for await (const line of readline.createInterface({ input: process.stdin })) {
		const { sql, threads, rounds } = JSON.parse(line);
		try {
			await connection.run(`SET threads = ${threads}`);
			const ms = [];
			let rows = 0;
			for (let i = 0; i < rounds; i++) {
				const start = process.hrtime.bigint();
				rows = (await connection.runAndReadAll(sql)).currentRowCount;
				ms.push(Number(process.hrtime.bigint() - start) / 1e6);
			}
			answer({ ms, rows });
		} catch (error) {
			answer({ error: String(error.message) });
		}
	}
}

main();
