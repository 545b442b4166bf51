package handover

// Use is what a connection or a stream is in.
type Use uint8

const (
	UseProxy     Use = 1 // a PROXY header is awaited, then a request head
	UseHello     Use = 2 // a ClientHello is awaited
	UseHead      Use = 3 // a request head is awaited
	UseUndecided Use = 4 // a request waits for its verdict
	UseStream    Use = 5 // an event stream
	UseWaiting   Use = 6 // an event stream that cannot begin yet
	UseHTTP2     Use = 7 // its streams have uses of their own
	UseLinger    Use = 8 // answered, and waiting for the client's end
)

// Flags are properties of a connection or of a stream.
type Flags uint16

const (
	Away      Flags = 1 << iota // it counts at its address as one that may not become a stream
	Secure                      // it has TLS
	Counted                     // HTTP/2: its streams are counted as closed, not it
	Gzip                        // it has the content coding gzip
	Failed                      // its TLS handshake has failed, which is counted
	Halfway                     // its next ping is due half a period after its phase
	Fast                        // it is behind, and publishers wait for it
	Named                       // Network is that of its client
	OnSeveral                   // it is on the channels of Several
	Granted                     // it has a User, an end, or both
)

// Is tells whether all of some flags are set.
func (f Flags) Is(some Flags) bool { return f&some == some }

// Stream is an event stream, or the request that may become one. Times are those of the
// loop: ticks of 10 ms where they have 32 bits, else nanoseconds.
type Stream struct {
	Use           Use
	Why           uint8 // an index in LoopHead.Reasons
	Flags         Flags
	Channel       int32 // an index in the list of the loop's channels, unless OnSeveral
	Cursor        uint64
	Opened, Wrote uint32
	Until         uint32 // when its grant ends, 0 for never

	User      string     // of its grant, most often none
	Several   []int32    // indexes in the list of the loop's channels
	Behind    *Behind    // nil if it is not
	Waiter    *Waiter    // of UseWaiting
	Undecided *Undecided // of UseUndecided
}

// streamSize is the size of a stream's fixed part, and streamLeast that of its first form.
const streamSize, streamLeast = 28, 28

// Extras of a stream.
const (
	tagUser      Tag = 1
	tagSeveral   Tag = 2
	tagBehind    Tag = 3
	tagWaiter    Tag = 4
	tagUndecided Tag = 5
)

// Append implements Record.
func (s *Stream) Append(w *Writer) {
	w.U8(streamSize)
	w.U8(uint8(s.Use))
	w.U8(s.Why)
	w.U16(uint16(s.Flags))
	w.I32(s.Channel)
	w.U64(s.Cursor)
	w.U32(s.Opened)
	w.U32(s.Wrote)
	w.U32(s.Until)
	if s.User != "" {
		w.Extra(tagUser, []byte(s.User))
	}
	if s.Several != nil {
		w.ExtraRecord(tagSeveral, (*places)(&s.Several))
	}
	if s.Behind != nil {
		w.ExtraRecord(tagBehind, s.Behind)
	}
	if s.Waiter != nil {
		w.ExtraRecord(tagWaiter, s.Waiter)
	}
	if s.Undecided != nil {
		w.ExtraRecord(tagUndecided, s.Undecided)
	}
	w.EndExtras()
}

// Parse implements Record.
func (s *Stream) Parse(r *Reader) {
	f := r.Fixed(int(r.U8()), streamLeast)
	s.Use, s.Why, s.Flags, s.Channel = Use(f.U8()), f.U8(), Flags(f.U16()), f.I32()
	s.Cursor, s.Opened, s.Wrote, s.Until = f.U64(), f.U32(), f.U32(), f.U32()
	for tag, body := range r.Extras() {
		switch tag {
		case tagUser:
			s.User = string(body.Raw(body.Len()))
		case tagSeveral:
			(*places)(&s.Several).Parse(body)
		case tagBehind:
			s.Behind = new(Behind)
			s.Behind.Parse(body)
		case tagWaiter:
			s.Waiter = new(Waiter)
			s.Waiter.Parse(body)
		case tagUndecided:
			s.Undecided = new(Undecided)
			s.Undecided.Parse(body)
		default:
			body.Unknown(tag)
		}
	}
}

// places are indexes in the list of the loop's channels.
type places []int32

func (p *places) Append(w *Writer) {
	appendList(w, *p, func(i *int32) { w.I32(*i) })
}

func (p *places) Parse(r *Reader) {
	*p = parseList(r, 4, func(i *int32) { *i = r.I32() })
}

// Connection is a client's connection, and the stream that it is or may become.
type Connection struct {
	Stream
	Cookie   uint64 // SO_COOKIE of its socket, which ties record and descriptor together
	Network  uint64 // of its client, if Named
	Timer    int64  // when its one timer comes, in nanoseconds of the loop; -1 for never
	NextPing uint32
	Heard    uint16 // bytes that came after its request head
	Lot      uint16 // its lifetime is drawn by it

	Head   []byte  // the beginning of a request head, or of what comes before that
	Peer   []byte  // 16 bytes of address and 2 of port, if its loop keeps it; else none
	Extras []Extra // what belongs to its protocols
}

// Extra is a part of a connection's record that its protocol knows. Tags are from
// FirstProtocol to LastProtocol, or the same above Optional.
type Extra struct {
	Tag  Tag
	Body []byte
}

// Tags of a protocol's extras.
const (
	FirstProtocol Tag = 0x10
	LastProtocol  Tag = 0x3f
)

// connectionSize is the size of a connection's fixed part, and connectionLeast that of its
// first form.
const connectionSize, connectionLeast = 32, 32

// Extras of a connection.
const (
	tagHead Tag = 1
	tagPeer Tag = 2
)

// Append implements Record.
func (c *Connection) Append(w *Writer) {
	w.U8(connectionSize)
	w.U64(c.Cookie)
	w.U64(c.Network)
	w.I64(c.Timer)
	w.U32(c.NextPing)
	w.U16(c.Heard)
	w.U16(c.Lot)
	c.Stream.Append(w)
	if c.Head != nil {
		w.Extra(tagHead, c.Head)
	}
	if c.Peer != nil {
		w.Extra(tagPeer, c.Peer)
	}
	for _, e := range c.Extras {
		w.Extra(e.Tag, e.Body)
	}
	w.EndExtras()
}

// Parse implements Record.
func (c *Connection) Parse(r *Reader) {
	f := r.Fixed(int(r.U8()), connectionLeast)
	c.Cookie, c.Network, c.Timer = f.U64(), f.U64(), f.I64()
	c.NextPing, c.Heard, c.Lot = f.U32(), f.U16(), f.U16()
	c.Stream.Parse(r)
	for tag, body := range r.Extras() {
		switch protocol := tag &^ Optional; {
		case tag == tagHead:
			c.Head = body.Raw(body.Len())
		case tag == tagPeer:
			c.Peer = body.Raw(body.Len())
		case protocol >= FirstProtocol && protocol <= LastProtocol:
			c.Extras = append(c.Extras, Extra{tag, body.Raw(body.Len())})
		default:
			body.Unknown(tag)
		}
	}
}
