package channels

// GapType is the type of the event that tells a client that it may have missed
// some. Its data is JSON: the reason, and the ids of the oldest message that is
// kept of its channels ("" if there is none) and of the newest message of all.
const GapType = "millrace.gap"

// Gap says why what a client missed cannot all be replayed.
type Gap string

const (
	NoGap      Gap = ""
	GapRestart Gap = "restart" // its last event id is of another epoch
	GapEvicted Gap = "evicted" // some of what it missed is no longer kept
	GapUnknown Gap = "unknown" // its last event id is none of ours
	// GapBackplane says that this node may not have been told of all that was
	// published on the others.
	GapBackplane Gap = "backplane"
)

// appendGap appends the fields of a gap event, without an id.
func (b *Broker) appendGap(dst []byte, why Gap, epoch string, oldest, head uint64) []byte {
	ids := b.opts.History > 0
	dst = append(dst, "event: "+GapType+"\ndata: {\"reason\":\""...)
	dst = append(dst, why...)
	dst = append(dst, "\",\"oldest\":\""...)
	if ids && oldest > 0 {
		dst = appendID(dst, epoch, oldest)
	}
	dst = append(dst, "\",\"head\":\""...)
	if ids {
		dst = appendID(dst, epoch, head)
	}
	return append(dst, "\"}\n"...)
}
