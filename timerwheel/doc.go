// Package timerwheel is a hierarchical timing wheel (Varghese and Lauck, 1987)
// for one owner of very many timers, such as an event loop with a keepalive for
// each of its connections.
//
// A [Wheel] keeps at most one timer for each index of the owner's [Table], which
// embeds a [Node] of 12 bytes in each of its records. The wheel holds no pointer
// into the table and reads no clock: the owner passes the time in, sleeps until
// [Wheel.Next] and calls [Wheel.Advance], a bounded slice of work at a time.
//
// # Accuracy
//
// Deadlines are rounded up to a tick. A timer never expires early, and expires in
// an Advance to the tick of its deadline: at most one tick late, if Advance is
// called by then and given the budget.
//
// # Structure
//
// A level is a circle of 4096 slots; a slot of level 0 lasts one tick, one of each
// level above as long as the whole level below. Four levels hold every
// time.Duration, so that there is no overflow to treat. A timer starts at the
// lowest level that reaches it, and moves down when its slot begins. Of ticks of 10 ms,
// level 0 reaches 41 seconds: keepalives and header deadlines never move. Level 1
// reaches 46 hours: a maximum lifetime moves once. Bits tell which slots are in
// use, so that empty time is skipped at no cost.
//
// The wheel of Linux does not move timers, and pays with expiry up to 12.5 %
// late; moving costs a visit to the timer for each level, but keeps every deadline
// exact. Large levels make moves rare for 16 KB a level. The price is a burst:
// timers 41 seconds ahead and more come down up to 4096 ticks' worth at a time,
// which the budget cuts into slices.
//
// # Memory
//
// A slot holds its indices in blocks of one cache line, not in a list through the
// nodes. Scattered nodes are cache misses; along a list each waits for the one
// before, whereas the nodes of a block are loaded side by side (see
// BenchmarkVisit). A timer takes 12 bytes of its owner's record and from 4.3 bytes
// of a block, as full as the slots are: 16 to 17 bytes at a million. A wheel
// itself takes 66 KB. Blocks come in chunks of 64 KB, are used again, and are
// never given back; Schedule allocates only when it needs another chunk.
package timerwheel
