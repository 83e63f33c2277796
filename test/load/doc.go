//go:build unix

// Command load measures the speed of the service, and beside it, in the same
// run on the same machine, what it is to be compared with:
//
//	make bench [BENCH_ARGS=-short, or -quick]
//	make bench-curve [CURVE=10000,100000]
//	make bench-fairness [BACKLOG=50000]
//	make bench-docs
//
// The first prints one table: references, the service, ratios, targets. The
// second measures the same work beside more and more stored requests and writes
// how every hot statement is planned then. The third measures what a small
// organization notices of a large one's backlog. The last does all three and
// writes the tables into docs/.
//
// It needs PostgreSQL and Redis, which TEST_DATABASE_URL and TEST_REDIS_URL
// name; it makes databases of its own on the first and empties the Redis
// databases 10 to 15. What statements cost is told by the extension
// pg_stat_statements, where the server has loaded it. It builds the commands of
// this repository and drives them from outside, over HTTP on the loopback
// interface. The result is one table on standard output; progress goes to
// standard error.
//
// Load generator, servers and webhook receiver share the machine's processors,
// so only the ratios within one run mean something elsewhere. The generator
// therefore does as little as it can (see client.go), and what is not ours runs
// in processes of its own: this program started again with another role.
package main
