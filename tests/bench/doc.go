// Command bench measures relayd beside other relays on this machine, and says
// whether relayd keeps the bars that it has set itself.
//
//	go run ./tests/bench            # about a quarter of an hour
//	go run ./tests/bench --quick    # under two minutes, noisier
//	go run ./tests/bench --only 'rr50' --peers relayd,haproxy --rounds 9
//	go run ./tests/bench --only tunnel        # what codecs cost in time
//	go run ./tests/bench --carry 1GiB         # files through stages, by curl
//
// The pieces, each a process of its own so that the garbage of one is not the
// time of another:
//
//	bench (rows, rounds, accounting)
//	 |- load      opens connections, asks, checks every byte of the answers
//	 |- relay     HAProxy, nginx, socat, a naive Go relay, relayd; a new one
//	 |            for each measurement. None in the rows of "direct"
//	 |- backend   checks every byte that it gets, and answers
//	 `- keeper    ends what is left if bench itself is killed
//
// A row is a kind of load. It runs for each relay in turn, A B C A B C, so that
// what else the machine does meets all of them, and starts with another one
// each round. What is shown is the median of the rounds. A ratio is the median
// of the ratios within the rounds, so it need not be the quotient of the two
// medians.
//
// The row tunnel compares pairs of relayds with each other, at the two ends of a
// tunnel: plain, and with each codec.
//
// Memory is what a relay has more with its connections than without any, after
// the first few have come, done the same, and gone: what a relay makes once is
// not for each connection.
//
// Bytes follow a pattern that depends on their position, on the direction and
// on the connection, so lost, doubled, changed and swapped ones are found. Each
// run ends every connection (with crr: some) by a FIN from the client, to which
// the backend answers how much it got. A relay that changes a byte, does not
// answer, or cuts the answer that comes after the FIN has FAILED in that row,
// however fast it was.
//
// CPU is what the kernel accounts to the relay's processes from the moment that
// the load is under way to the moment that it has all its answers: for each
// process its CPU-time clock, in nanoseconds, which has the threads that have
// ended in it; and for its children that have ended and that it has waited for,
// the counters of /proc, in ticks of 10 ms.
//
// Memory is the proportional set size: resident pages, those that processes
// share split between them. What the kernel holds for sockets and pipes is not
// in it.
package main
