package handover

// Admin is what the admin port has at the switch. It travels by SendLong as KindAdmin; its
// descriptors are those of the connections, in order.
type Admin struct {
	Age      int64 // for how long the port has been open, in nanoseconds
	Accepted int64 // connections, of which the newest has this id
	// Counters since the port was opened.
	Rejected, Displaced, Commands, Dropped, WrongPasswords, Ended int64
	Staying                                                       int64 // connections that cannot travel, and end with the predecessor
	Connections                                                   []AdminConnection
}

const adminSize, leastAdmin = 72, 72

// adminConnectionSize is the length of the fixed part of a connection's record.
const adminConnectionSize, leastAdminConnection = 56, 48

// Append implements Record.
func (a *Admin) Append(w *Writer) {
	w.U16(adminSize)
	start := w.Len()
	w.I64(a.Age)
	w.I64(a.Accepted)
	w.I64(a.Rejected)
	w.I64(a.Displaced)
	w.I64(a.Commands)
	w.I64(a.Dropped)
	w.I64(a.WrongPasswords)
	w.I64(a.Ended)
	w.I64(a.Staying)
	w.Pad(start, adminSize)
	w.U16(adminConnectionSize)
	w.U32(uint32(len(a.Connections)))
	for i := range a.Connections {
		a.Connections[i].append(w)
	}
}

// Parse implements Record.
func (a *Admin) Parse(r *Reader) {
	fixed := r.Fixed(int(r.U16()), leastAdmin)
	a.Age, a.Accepted = fixed.I64(), fixed.I64()
	a.Rejected, a.Displaced, a.Commands = fixed.I64(), fixed.I64(), fixed.I64()
	a.Dropped, a.WrongPasswords, a.Ended = fixed.I64(), fixed.I64(), fixed.I64()
	a.Staying = fixed.I64()
	size := int(r.U16())
	n := r.Count(leastAdminConnection)
	for i := 0; i < n && r.Err() == nil; i++ {
		var c AdminConnection
		c.parse(r, size)
		a.Connections = append(a.Connections, c)
	}
}

// AdminConnection is a connection of the admin port between two requests.
type AdminConnection struct {
	ID, Age, Idle  int64  // times in nanoseconds
	AuthLeft       int64  // to give the password, in nanoseconds, if it has not
	Cookie         uint64 // of the socket
	Flags          AdminFlags
	RESP, Failures uint8 // version of the protocol; wrong passwords

	Name, Library, LibraryVersion string
	Channels, Globs, Shards       []string // subscriptions
	Waiting                       AdminBytes
	Late                          bool // what waits comes afterwards, by KindAdminRest
}

// AdminFlags are properties of an AdminConnection.
type AdminFlags uint16

const (
	AdminOpened        AdminFlags = 1 << iota // its first request was one
	AdminAuthenticated                        // it has given the password
	AdminSecured                              // there is no handshake to be made
	AdminLeaving                              // once it has its replies
	AdminSubscribed                           // it has been a subscriber
	AdminTransaction                          // MULTI was there, EXEC is to come
	AdminSpoiled                              // EXEC is to fail
)

func (c *AdminConnection) append(w *Writer) {
	start := w.Len()
	w.I64(c.ID)
	w.I64(c.Age)
	w.I64(c.Idle)
	w.I64(c.AuthLeft)
	w.U64(c.Cookie)
	w.U16(uint16(c.Flags))
	w.U8(c.RESP)
	w.U8(c.Failures)
	w.Bool(c.Late)
	w.Pad(start, adminConnectionSize)
	w.String(c.Name)
	w.String(c.Library)
	w.String(c.LibraryVersion)
	w.Strings(c.Channels)
	w.Strings(c.Globs)
	w.Strings(c.Shards)
	if !c.Late {
		c.Waiting.Append(w)
	}
	w.EndExtras()
}

func (c *AdminConnection) parse(r *Reader, size int) {
	fixed := r.Fixed(size, leastAdminConnection)
	c.ID, c.Age, c.Idle, c.AuthLeft = fixed.I64(), fixed.I64(), fixed.I64(), fixed.I64()
	c.Cookie = fixed.U64()
	c.Flags, c.RESP, c.Failures = AdminFlags(fixed.U16()), fixed.U8(), fixed.U8()
	c.Late = fixed.Bool()
	c.Name, c.Library, c.LibraryVersion = r.String(), r.String(), r.String()
	c.Channels, c.Globs, c.Shards = r.Strings(), r.Strings(), r.Strings()
	if !c.Late {
		c.Waiting.Parse(r)
	}
	r.NoExtras()
}

// AdminBytes are the bytes that wait at a connection of the admin port.
type AdminBytes struct {
	Received []byte // that have not been executed
	Queued   []byte // requests that EXEC runs
	Unsent   []byte // replies and messages that the client has not taken
}

// Len returns their number.
func (b *AdminBytes) Len() int { return len(b.Received) + len(b.Queued) + len(b.Unsent) }

// Append implements Record.
func (b *AdminBytes) Append(w *Writer) {
	w.Sized(b.Received)
	w.Sized(b.Queued)
	w.Sized(b.Unsent)
}

// Parse implements Record.
func (b *AdminBytes) Parse(r *Reader) {
	b.Received, b.Queued, b.Unsent = r.Sized(), r.Sized(), r.Sized()
}

// AdminRest is what waits at a connection that is Late. Those of all such connections
// travel in their order, each by SendLong as KindAdminRest.
type AdminRest struct {
	ID      int64
	Waiting AdminBytes
}

// Append implements Record.
func (a *AdminRest) Append(w *Writer) {
	w.I64(a.ID)
	a.Waiting.Append(w)
	w.EndExtras()
}

// Parse implements Record.
func (a *AdminRest) Parse(r *Reader) {
	a.ID = r.I64()
	a.Waiting.Parse(r)
	r.NoExtras()
}
