package bench

import (
	"sync"

	"golang.org/x/sys/unix"

	"millrace/internal/fdtable"
)

// tableReserve is how many descriptors of a table are not for streams: those that
// the process has open anyway, and two for each loop that there may be.
const tableReserve = 300

// LoopsFor returns how many loops it takes to hold so many sockets, and whether
// each needs a descriptor table of its own: the descriptor limit of the process
// says. The sockets are expected to be spread over the loops evenly, but for
// slack, a share of the limit.
func LoopsFor(sockets int, slack float64) (loops int, ownTables bool) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1, false
	}
	room := max(int(min(limit.Cur, 1<<24))-tableReserve, 1)
	if sockets <= room || fdtable.Supported() != nil {
		return 1, false
	}
	room = max(int(float64(room)*(1-slack)), 1)
	return (sockets + room - 1) / room, true
}

// spawn runs a loop on a goroutine that running counts, if asked on a thread
// with a descriptor table of its own.
func spawn(running *sync.WaitGroup, ownTable bool, run func()) error {
	if !ownTable {
		running.Go(run)
		return nil
	}
	made := make(chan error, 1)
	running.Add(1)
	err := fdtable.Go(func(err error) {
		defer running.Done()
		made <- err
		if err == nil {
			run()
		}
	})
	if err != nil {
		running.Done()
		return err
	}
	return <-made
}
