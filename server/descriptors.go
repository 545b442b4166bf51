package server

import (
	"fmt"
	"runtime"

	"millrace/internal/fdtable"
)

// FDTables says how loops hold their descriptors.
type FDTables string

const (
	// FDTablesAuto is FDTablesPerLoop when MaxConnections is more than one
	// table has room for and the platform can, else FDTablesShared.
	FDTablesAuto FDTables = "auto"
	// FDTablesShared is the one table of the process.
	FDTablesShared FDTables = "shared"
	// FDTablesPerLoop gives each loop's thread a table of its own, so that the
	// descriptor limit counts for each loop and not for all together. Only on
	// Linux.
	FDTablesPerLoop FDTables = "per-loop"
)

// capacity is what the server may hold, and how.
type capacity struct {
	limit    int  // descriptors in one table
	perLoop  bool // whether each loop has a table
	loops    int
	room     int // streams that the tables have room for, less the reserve
	streams  int // streams that are let in: the connection limit
	channels int // that streams may be on
	accepted int // sockets that are let in: more by those which are no streams
}

// planCapacity decides on tables and loops by cfg and the descriptor limit.
func planCapacity(cfg *Config, limit int) (capacity, error) {
	p := capacity{limit: min(limit, maxTable), loops: cfg.Loops}
	spare := reserve(p.limit)
	table := max(p.limit-spare, 1) // streams that one table has room for
	switch cfg.FDTables {
	case FDTablesShared:
	case FDTablesPerLoop:
		if err := fdtable.Supported(); err != nil {
			return p, fmt.Errorf("%w: descriptor tables %q: %w; use %q or %q", ErrConfig, cfg.FDTables, err, FDTablesShared, FDTablesAuto)
		}
		p.perLoop = true
	case FDTablesAuto, "":
		p.perLoop = cfg.MaxConnections > table && fdtable.Supported() == nil
	default:
		return p, fmt.Errorf("%w: descriptor tables %q, want %q, %q or %q", ErrConfig, cfg.FDTables, FDTablesAuto, FDTablesShared, FDTablesPerLoop)
	}
	if p.loops == 0 {
		p.loops = runtime.GOMAXPROCS(0)
		if p.perLoop { // the kernel spreads connections evenly, but not to the last one
			p.loops = min(max(p.loops, (cfg.MaxConnections+table-1-table/16)/(table-table/16)), maxLoops)
		}
	}
	tables := 1
	if p.perLoop {
		tables = p.loops
	}
	p.room = tables * table
	p.streams = p.room
	if cfg.MaxConnections > 0 {
		p.streams = cfg.MaxConnections
	}
	if p.channels = cfg.MaxChannels; p.channels == 0 {
		p.channels = 4 * p.streams
	}
	p.accepted = p.streams + tables*spare/2
	return p, nil
}
