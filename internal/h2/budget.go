package h2

import "time"

// budget bounds what a client makes us do for nothing: floods of PING, SETTINGS, PRIORITY,
// WINDOW_UPDATE, empty DATA and CONTINUATION (CVE-2019-9511 to -9518, CVE-2024-27316), streams
// that are reset as soon as they are opened (CVE-2023-44487), or opened so that we reset them
// (CVE-2025-8671), header lists that are too long. Each costs; what is left comes back
// with each DATA frame that we send, which clients answer with up to two WINDOW_UPDATEs, and
// with time, so that a page may be loaded again and again. A client that has used it up is
// told to calm down.
type budget struct {
	left   int16
	filled uint16 // when time last gave something back, in seconds, modulo 2^16
}

const (
	fullBudget = 400
	perSecond  = 8 // what time gives back
	perData    = 2 // what a DATA frame that is sent gives back

	costFrame       = 1  // of a frame that brings nothing
	costSettings    = 2  // and one more for each settingsPerCost settings
	costReset       = 4  // of a stream, by either side
	costTooLong     = 50 // of a header list
	settingsPerCost = 8
	overheadPerCost = 64 // bytes that records have beside frames
	leastOverhead   = 27 // of a KeyUpdate, the least that costs: the 22 of a record with frames are free
)

func newBudget(now time.Duration) budget {
	return budget{left: fullBudget, filled: uint16(now / time.Second)}
}

// spend takes cost, and fails when there is less than that.
func (b *budget) spend(cost int) error {
	if int(b.left) < cost {
		b.left = 0
		return &Error{EnhanceYourCalm, "too many frames that bring nothing"}
	}
	b.left -= int16(cost)
	return nil
}

// earn gives back.
func (b *budget) earn(n int) { b.left = int16(min(int(b.left)+n, fullBudget)) }

// fill gives back what time does.
func (b *budget) fill(now time.Duration) {
	second := uint16(now / time.Second)
	b.earn(perSecond * int(second-b.filled))
	b.filled = second
}

// SpendOverhead spends what the TLS records of one read have had beside frames, in bytes. A
// client can have us compute with it as with frames: by KeyUpdates, padding, and records of
// next to nothing.
func (c *Conn) SpendOverhead(n int, now time.Duration) error {
	c.budget.fill(now)
	return c.budget.spend((n + overheadPerCost - leastOverhead) / overheadPerCost)
}
