package handover

// Beside is what belongs to no loop and to no channel, or a page of it: what two frames have
// adds up, and what comes twice counts once. A page without something leaves that out.
type Beside struct {
	Arrivals   Arrivals      // of all clients
	Addresses  []AddressRate // whose buckets are not full
	Kicks      []Kick
	SpentFloor int64 // microseconds since 1970: what was issued up to then and is not in Spent is void
	Spent      []SpentTickets
	TicketKey  []byte // that a process has drawn itself for tickets
	// SessionKeys are those that a process has drawn itself for session tickets of TLS.
	SessionKeys []SessionKey
	Counters    []Counter
	Times       []Times
}

// Arrivals are the rate at which new connections are let in, in nanoseconds of loop time.
type Arrivals struct {
	Full   int64 // when the bucket will be full
	Booked int64 // the latest time at which somebody is to come back
}

// AddressRate is a client address that lately made connections.
type AddressRate struct {
	Network uint64
	Full    int64 // when its bucket will be full, in nanoseconds of loop time
}

// Kick is what holds for a user, in microseconds since 1970.
type Kick struct {
	User              string // empty for everybody
	At, Until, Barred int64
}

// SpentTickets are families of tickets of which some have been opened, all of one table.
type SpentTickets struct {
	Table               uint32 // the oldest is 0
	Began, Until, Floor int64
	Families            []SpentFamily
}

// SpentFamily is a family, and the last of its generations that has been opened.
type SpentFamily struct {
	Family     [16]byte
	Generation uint32
}

// SessionKey is a key of session tickets.
type SessionKey struct {
	Key  [32]byte
	Made int64 // seconds since 1970
}

// Counter is the value of a metric that only grows. Labels are the values of its labels.
type Counter struct {
	Name   string
	Labels []string
	Value  float64
}

// Times is the distribution of a metric that is a histogram.
type Times struct {
	Name   string
	Counts []uint64 // of each bucket by itself
	Sum    int64    // nanoseconds
}

// The extras of Beside. A process that does not know the metrics of the other one leaves them
// out.
const (
	besideArrivals    Tag = 1
	besideAddresses   Tag = 2
	besideKicks       Tag = 3
	besideSpentFloor  Tag = 4
	besideSpent       Tag = 5
	besideTicketKey   Tag = 6
	besideSessionKeys Tag = 7
	besideCounters    Tag = Optional
	besideTimes       Tag = Optional + 1
)

// Append implements Record.
func (b *Beside) Append(w *Writer) {
	extra := func(is bool, tag Tag, body func(w *Writer)) {
		if is {
			w.ExtraRecord(tag, appender(body))
		}
	}
	extra(b.Arrivals != Arrivals{}, besideArrivals, func(w *Writer) {
		w.I64(b.Arrivals.Full)
		w.I64(b.Arrivals.Booked)
	})
	extra(len(b.Addresses) > 0, besideAddresses, func(w *Writer) {
		appendList(w, b.Addresses, func(a *AddressRate) {
			w.U64(a.Network)
			w.I64(a.Full)
		})
	})
	extra(len(b.Kicks) > 0, besideKicks, func(w *Writer) {
		appendList(w, b.Kicks, func(k *Kick) {
			w.String(k.User)
			w.I64(k.At)
			w.I64(k.Until)
			w.I64(k.Barred)
		})
	})
	extra(b.SpentFloor != 0, besideSpentFloor, func(w *Writer) { w.I64(b.SpentFloor) })
	extra(len(b.Spent) > 0, besideSpent, b.appendSpent)
	extra(len(b.TicketKey) > 0, besideTicketKey, func(w *Writer) { w.Sized(b.TicketKey) })
	extra(len(b.SessionKeys) > 0, besideSessionKeys, func(w *Writer) {
		appendList(w, b.SessionKeys, func(k *SessionKey) {
			w.Raw(k.Key[:])
			w.I64(k.Made)
		})
	})
	extra(len(b.Counters) > 0, besideCounters, b.appendCounters)
	extra(len(b.Times) > 0, besideTimes, b.appendTimes)
	w.EndExtras()
}

// appender is a Record of which only Append is needed.
type appender func(w *Writer)

func (a appender) Append(w *Writer) { a(w) }
func (appender) Parse(*Reader)      {}

func (b *Beside) appendSpent(w *Writer) {
	appendList(w, b.Spent, func(s *SpentTickets) {
		w.U32(s.Table)
		w.I64(s.Began)
		w.I64(s.Until)
		w.I64(s.Floor)
		appendList(w, s.Families, func(f *SpentFamily) {
			w.Raw(f.Family[:])
			w.U32(f.Generation)
		})
	})
}

func (b *Beside) appendCounters(w *Writer) {
	appendList(w, b.Counters, func(c *Counter) {
		w.String(c.Name)
		w.Strings(c.Labels)
		w.F64(c.Value)
	})
}

func (b *Beside) appendTimes(w *Writer) {
	appendList(w, b.Times, func(t *Times) {
		w.String(t.Name)
		appendList(w, t.Counts, func(n *uint64) { w.U64(*n) })
		w.I64(t.Sum)
	})
}

// Parse implements Record.
func (b *Beside) Parse(r *Reader) {
	for tag, r := range r.Extras() {
		switch tag {
		case besideArrivals:
			b.Arrivals = Arrivals{Full: r.I64(), Booked: r.I64()}
		case besideAddresses:
			b.Addresses = parseList(r, 16, func(a *AddressRate) { *a = AddressRate{Network: r.U64(), Full: r.I64()} })
		case besideKicks:
			b.Kicks = parseList(r, 28, func(k *Kick) { *k = Kick{User: r.String(), At: r.I64(), Until: r.I64(), Barred: r.I64()} })
		case besideSpentFloor:
			b.SpentFloor = r.I64()
		case besideSpent:
			b.parseSpent(r)
		case besideTicketKey:
			b.TicketKey = r.Sized()
		case besideSessionKeys:
			b.SessionKeys = parseList(r, 40, func(k *SessionKey) {
				copy(k.Key[:], r.Raw(32))
				k.Made = r.I64()
			})
		case besideCounters:
			b.parseCounters(r)
		case besideTimes:
			b.parseTimes(r)
		default:
			r.Unknown(tag)
		}
	}
}

func (b *Beside) parseSpent(r *Reader) {
	b.Spent = parseList(r, 32, func(s *SpentTickets) {
		*s = SpentTickets{Table: r.U32(), Began: r.I64(), Until: r.I64(), Floor: r.I64()}
		s.Families = parseList(r, 20, func(f *SpentFamily) {
			copy(f.Family[:], r.Raw(16))
			f.Generation = r.U32()
		})
	})
}

func (b *Beside) parseCounters(r *Reader) {
	b.Counters = parseList(r, 16, func(c *Counter) { *c = Counter{Name: r.String(), Labels: r.Strings(), Value: r.F64()} })
}

func (b *Beside) parseTimes(r *Reader) {
	b.Times = parseList(r, 16, func(t *Times) {
		*t = Times{Name: r.String(), Counts: parseList(r, 8, func(n *uint64) { *n = r.U64() }), Sum: r.I64()}
	})
}
