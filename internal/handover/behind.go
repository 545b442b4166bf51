package handover

// Behind is the state of a stream that is behind. Times are in nanoseconds of the loop.
type Behind struct {
	Rest     []byte // of the message that its socket took only in part
	Messages uint32 // of which Rest has the last byte
	Fell     int64
	Gaps     uint64   // the sequence up to which it need not be told of gaps
	Floors   []uint64 // for each of its channels; none if that is nowhere above its cursor

	// How fast it reads.
	Window, Last, Judged int64
	Taken, Total         int64
	Owed, Asked          bool

	// How it is to end once it has caught up.
	Leaves    uint8 // an index in LoopHead.Reasons, 0 for not at all
	Retry, By int64
}

// Append implements Record.
func (b *Behind) Append(w *Writer) {
	w.Sized(b.Rest)
	w.U32(b.Messages)
	w.I64(b.Fell)
	w.U64(b.Gaps)
	appendList(w, b.Floors, func(floor *uint64) { w.U64(*floor) })
	for _, v := range []int64{b.Window, b.Last, b.Judged, b.Taken, b.Total} {
		w.I64(v)
	}
	w.Bool(b.Owed)
	w.Bool(b.Asked)
	w.U8(b.Leaves)
	w.I64(b.Retry)
	w.I64(b.By)
}

// Parse implements Record.
func (b *Behind) Parse(r *Reader) {
	b.Rest, b.Messages = r.Sized(), r.U32()
	b.Fell, b.Gaps = r.I64(), r.U64()
	b.Floors = parseList(r, 8, func(floor *uint64) { *floor = r.U64() })
	for _, v := range []*int64{&b.Window, &b.Last, &b.Judged, &b.Taken, &b.Total} {
		*v = r.I64()
	}
	b.Owed, b.Asked = r.Bool(), r.Bool()
	b.Leaves, b.Retry, b.By = r.U8(), r.I64(), r.I64()
}

// Waiter is the state of a stream that cannot begin yet.
type Waiter struct {
	LastID, Origin []byte
	Renewal        string
	Coding         uint8
	Greeted        bool  // its response head has been sent,
	Due            int64 // or is sent then at the latest
}

// Append implements Record.
func (v *Waiter) Append(w *Writer) {
	w.Sized(v.LastID)
	w.Sized(v.Origin)
	w.String(v.Renewal)
	w.U8(v.Coding)
	w.Bool(v.Greeted)
	w.I64(v.Due)
}

// Parse implements Record.
func (v *Waiter) Parse(r *Reader) {
	v.LastID, v.Origin, v.Renewal = r.Sized(), r.Sized(), r.String()
	v.Coding, v.Greeted, v.Due = r.U8(), r.Bool(), r.I64()
}

// Undecided is a request that waits for its verdict, which is asked for anew: what an
// authorizer gets to see of it, and how it is to be answered.
type Undecided struct {
	Channels, Signed                                    []string
	Aliased, IsSecure, OriginAllowed                    bool
	Method, Path, Query, Host                           string
	Authorization, Cookie, Origin, UserAgent, FetchSite string
	Client                                              []byte // as netip.Addr marshals itself

	To                    []byte // the origin of the page that asks
	OnlyHead, PrefersGzip bool
	Coding                uint8
	LastID                []byte
	Deadline              int64
}

// texts are the fields of a request that are strings.
func (u *Undecided) texts() []*string {
	return []*string{&u.Method, &u.Path, &u.Query, &u.Host, &u.Authorization, &u.Cookie, &u.Origin, &u.UserAgent, &u.FetchSite}
}

// Append implements Record.
func (u *Undecided) Append(w *Writer) {
	w.Strings(u.Channels)
	w.Strings(u.Signed)
	for _, b := range []bool{u.Aliased, u.IsSecure, u.OriginAllowed, u.OnlyHead, u.PrefersGzip} {
		w.Bool(b)
	}
	for _, text := range u.texts() {
		w.String(*text)
	}
	w.Sized(u.Client)
	w.Sized(u.To)
	w.U8(u.Coding)
	w.Sized(u.LastID)
	w.I64(u.Deadline)
}

// Parse implements Record.
func (u *Undecided) Parse(r *Reader) {
	u.Channels, u.Signed = r.Strings(), r.Strings()
	for _, b := range []*bool{&u.Aliased, &u.IsSecure, &u.OriginAllowed, &u.OnlyHead, &u.PrefersGzip} {
		*b = r.Bool()
	}
	for _, text := range u.texts() {
		*text = r.String()
	}
	u.Client, u.To, u.Coding, u.LastID, u.Deadline = r.Sized(), r.Sized(), r.U8(), r.Sized(), r.I64()
}
