package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What the successor's broker is told, the history and every message from then on, is one
// stream of parts in the order in which they happened. The payloads of KindRelay frames are
// pieces of it, so that a part may be longer than a frame. A part is
//
//	0  length of the record, 4 bytes
//	4  PartKind
//	5  the record
//
// A record may grow at its end. A kind from OptionalPart on may be ignored.

// PartKind tells which record a part has.
type PartKind uint8

const (
	PartHead      PartKind = 1 // BrokerHead: the first part
	PartForgotten PartKind = 2 // ForgottenPage
	PartChannel   PartKind = 3 // ChannelState: before its messages, and when it has changed
	PartKept      PartKind = 4 // KeptMessage: of the channel of the last ChannelState
	PartRestored  PartKind = 5 // Empty: the history is complete
	PartMessage   PartKind = 6 // PlacedMessage
	PartAdvance   PartKind = 7 // Place: the order has come so far
	PartGap       PartKind = 8 // PlacedGap
	PartForget    PartKind = 9 // Forgotten: a channel has closed

	// OptionalPart is the first kind that a reader which does not know it may ignore.
	OptionalPart PartKind = 0x80
)

// maxPart bounds a part: an event has 16 MiB at most.
const maxPart = 32 << 20

// partHead is the length of what stands before the record of a part.
const partHead = 5

// ErrPart is wrapped by errors of parts that no broker has written.
var ErrPart = errors.New("damaged part of the history")

// Part appends a part.
func (w *Writer) Part(kind PartKind, record Record) {
	begin := len(w.data)
	w.U32(0)
	w.U8(uint8(kind))
	record.Append(w)
	binary.LittleEndian.PutUint32(w.data[begin:], uint32(len(w.data)-begin-partHead))
}

// Parts puts parts together again. The zero value is empty.
type Parts struct {
	payload []byte // not yet read
	part    []byte // one that has begun in a payload before
}

// Add hands in the next piece. It must stay as it is until Next has returned false.
func (p *Parts) Add(payload []byte) { p.payload = payload }

// Next returns the record of the next part, which is valid until the next call; false if
// that has not come yet.
func (p *Parts) Next() (kind PartKind, record []byte, ok bool, err error) {
	if len(p.part) == 0 { // most are whole
		if size, err := sizeOfPart(p.payload); err != nil {
			return 0, nil, false, err
		} else if size > 0 && size <= len(p.payload) {
			part := p.payload[:size]
			p.payload = p.payload[size:]
			return PartKind(part[4]), part[partHead:], true, nil
		}
	}
	for _, until := range []func() (int, error){
		func() (int, error) { return partHead, nil },
		func() (int, error) { return sizeOfPart(p.part) },
	} {
		size, err := until()
		if err != nil {
			return 0, nil, false, err
		}
		n := min(max(size-len(p.part), 0), len(p.payload))
		p.part, p.payload = append(p.part, p.payload[:n]...), p.payload[n:]
		if len(p.part) < size {
			return 0, nil, false, nil
		}
	}
	part := p.part
	p.part = nil
	return PartKind(part[4]), part[partHead:], true, nil
}

// sizeOfPart returns the length of the part that begins b, 0 if too little of it is there.
func sizeOfPart(b []byte) (int, error) {
	if len(b) < partHead {
		return 0, nil
	}
	n := binary.LittleEndian.Uint32(b)
	if n > maxPart {
		return 0, fmt.Errorf("%w: %d bytes, want at most %d", ErrPart, n, maxPart)
	}
	return partHead + int(n), nil
}

// BrokerHead is what a broker has beside its channels.
type BrokerHead struct {
	Version  uint8 // of the parts that follow
	Epoch    string
	Seq      uint64
	Newest   uint64    // with Numbered
	Ahead    uint64    // with Numbered
	Key      [2]uint64 // of the hash of names that are forgotten
	Numbered bool
	IDs      bool // messages have event ids
}

// Append implements Record.
func (h *BrokerHead) Append(w *Writer) {
	w.U8(h.Version)
	w.String(h.Epoch)
	w.U64(h.Seq)
	w.U64(h.Newest)
	w.U64(h.Ahead)
	w.U64(h.Key[0])
	w.U64(h.Key[1])
	w.Bool(h.Numbered)
	w.Bool(h.IDs)
}

// Parse implements Record.
func (h *BrokerHead) Parse(r *Reader) {
	*h = BrokerHead{
		Version: r.U8(), Epoch: r.String(), Seq: r.U64(), Newest: r.U64(), Ahead: r.U64(),
		Key: [2]uint64{r.U64(), r.U64()}, Numbered: r.Bool(), IDs: r.Bool(),
	}
}

// ForgottenPage is a page of what is known of channels that have closed.
type ForgottenPage struct {
	Index   uint16
	Buckets []byte // as the broker writes them: with its key they mean the same in each process
}

// Append implements Record.
func (p *ForgottenPage) Append(w *Writer) {
	w.U16(p.Index)
	w.Sized(p.Buckets)
}

// Parse implements Record.
func (p *ForgottenPage) Parse(r *Reader) { p.Index, p.Buckets = r.U16(), r.Sized() }

// ChannelFlags are those of a ChannelState.
type ChannelFlags uint8

const (
	ChannelFollowed   ChannelFlags = 1 << iota // by the backplane
	ChannelRefused                             // by the backplane
	ChannelUnfollowed                          // its gap is where it began to be followed
	ChannelCleared                             // what it had is gone: its messages follow anew
)

// ChannelState is what a channel has beside its messages and its subscribers.
type ChannelState struct {
	Name      []byte
	Evicted   uint64
	Gap       uint64
	Published uint64
	Why       uint8
	Flags     ChannelFlags
}

// Append implements Record.
func (c *ChannelState) Append(w *Writer) {
	w.Sized(c.Name)
	w.U64(c.Evicted)
	w.U64(c.Gap)
	w.U64(c.Published)
	w.U8(c.Why)
	w.U8(uint8(c.Flags))
}

// Parse implements Record.
func (c *ChannelState) Parse(r *Reader) {
	*c = ChannelState{Name: r.Sized(), Evicted: r.U64(), Gap: r.U64(), Published: r.U64(), Why: r.U8(), Flags: ChannelFlags(r.U8())}
}

// KeptMessage is one of a channel's history.
type KeptMessage struct {
	Seq  uint64
	Age  int64 // in ns; 0 where messages do not grow old
	Wire []byte
}

// Append implements Record.
func (m *KeptMessage) Append(w *Writer) {
	w.U64(m.Seq)
	w.I64(m.Age)
	w.Sized(m.Wire)
}

// Parse implements Record.
func (m *KeptMessage) Parse(r *Reader) { m.Seq, m.Age, m.Wire = r.U64(), r.I64(), r.Sized() }

// PlacedMessage is a message that has got its place just now.
type PlacedMessage struct {
	Seq     uint64
	Channel []byte
	Wire    []byte
}

// Append implements Record.
func (m *PlacedMessage) Append(w *Writer) {
	w.U64(m.Seq)
	w.Sized(m.Channel)
	w.Sized(m.Wire)
}

// Parse implements Record.
func (m *PlacedMessage) Parse(r *Reader) { m.Seq, m.Channel, m.Wire = r.U64(), r.Sized(), r.Sized() }

// Place is how far the order has come.
type Place struct{ Seq, Newest uint64 }

// Append implements Record.
func (p *Place) Append(w *Writer) {
	w.U64(p.Seq)
	w.U64(p.Newest)
}

// Parse implements Record.
func (p *Place) Parse(r *Reader) { p.Seq, p.Newest = r.U64(), r.U64() }

// PlacedGap is a gap that has got its place just now.
type PlacedGap struct {
	Place
	Channel []byte
	Why     uint8
}

// Append implements Record.
func (g *PlacedGap) Append(w *Writer) {
	g.Place.Append(w)
	w.Sized(g.Channel)
	w.U8(g.Why)
}

// Parse implements Record.
func (g *PlacedGap) Parse(r *Reader) {
	g.Place.Parse(r)
	g.Channel, g.Why = r.Sized(), r.U8()
}

// Forgotten is a channel that has closed, and up to where it had something.
type Forgotten struct {
	Seq     uint64
	Channel []byte
}

// Append implements Record.
func (f *Forgotten) Append(w *Writer) {
	w.U64(f.Seq)
	w.Sized(f.Channel)
}

// Parse implements Record.
func (f *Forgotten) Parse(r *Reader) { f.Seq, f.Channel = r.U64(), r.Sized() }

// Switch is the place from which on the successor numbers: the payload of KindSwitch.
type Switch struct {
	Place
	Ahead uint64
}

// Append implements Record.
func (s *Switch) Append(w *Writer) {
	s.Place.Append(w)
	w.U64(s.Ahead)
}

// Parse implements Record.
func (s *Switch) Parse(r *Reader) {
	s.Place.Parse(r)
	s.Ahead = r.U64()
}

// Empty is a record without content.
type Empty struct{}

// Append implements Record.
func (*Empty) Append(*Writer) {}

// Parse implements Record.
func (*Empty) Parse(*Reader) {}
