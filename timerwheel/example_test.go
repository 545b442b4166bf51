package timerwheel_test

import (
	"fmt"
	"time"

	"millrace/timerwheel"
)

// conn is the owner's record of a connection, with room for its timer.
type conn struct {
	timer timerwheel.Node
	pings int
}

type conns []conn

func (c conns) Node(i int32) *timerwheel.Node { return &c[i].timer }

// A keepalive for each connection: what expires is set again.
func Example() {
	const keepalive = 15 * time.Second
	table := make(conns, 3)
	wheel := timerwheel.New(table, 10*time.Millisecond, 0)
	for i := range table {
		wheel.Schedule(int32(i), keepalive+time.Duration(i)*time.Second)
	}
	wheel.Cancel(1) // its client has gone

	var now time.Duration
	for range 4 {
		now, _ = wheel.Next() // a server sleeps until then, or until there is input
		for wheel.Advance(now, 512, func(i int32) {
			table[i].pings++
			wheel.Schedule(i, now+keepalive)
		}) {
			// Between slices of 512 the server attends to its input.
		}
		fmt.Println(now, table[0].pings, table[1].pings, table[2].pings)
	}
	// Output:
	// 15s 1 0 0
	// 17s 1 0 1
	// 30s 2 0 1
	// 32s 2 0 2
}
