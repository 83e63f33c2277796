//go:build unix

// Command load measures the speed of the service, and beside it, in the same
// run on the same machine, what it is to be compared with:
//
//	make bench [BENCH_ARGS='-short -markdown FILE']
//
// It needs PostgreSQL and Redis, which TEST_DATABASE_URL and TEST_REDIS_URL
// name; it makes databases of its own on the first and empties the Redis
// databases 10 to 15. It builds the commands of this repository and drives them
// from outside, over HTTP on the loopback interface. The result is one table on
// standard output; progress goes to standard error.
//
// Load generator, servers and webhook receiver share the machine's processors,
// so only the ratios within one run mean something elsewhere. The generator
// therefore does as little as it can (see client.go), and what is not ours runs
// in processes of its own: this program started again with another role.
package main
