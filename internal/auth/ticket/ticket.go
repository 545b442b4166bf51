// Package ticket grants streams by tickets: an application asks for one at the admin
// port, hands it to its page, and the page opens a stream by it, once.
//
// A ticket is sealed, not stored ([Keys]): what it grants stands in it, and only a node
// with the key can read or make one. What nodes do remember is which have been opened
// ([Tickets]), so that each opens one stream. The stream's first event has a renewal, a
// ticket of the same kind that opens one more, until the end of what was granted.
package ticket

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"millrace/channels"
	"millrace/httpparse"
	"millrace/internal/auth"
)

const (
	// Param is the parameter of a stream's address that has a ticket.
	Param = "ticket"

	// DefaultOpenFor is how long a ticket can be opened unless it says otherwise, and
	// MaxOpenFor the longest that it may say.
	DefaultOpenFor = 30 * time.Second
	MaxOpenFor     = time.Hour
	// DefaultUntil is how long after its ticket was issued a stream and its renewals end
	// unless it says otherwise, and MaxUntil the longest that it may say.
	DefaultUntil = 12 * time.Hour
	MaxUntil     = 30 * 24 * time.Hour

	// maxChannels is how many channels a ticket may be for, and maxNames how many bytes
	// their names may have together: it has to fit into an address.
	maxChannels = 64
	maxNames    = 2048
	// maxText is the length of the longest ticket: three bytes become four letters.
	maxText = (maxNames+auth.MaxUser+512)*4/3 + 4
)

// ErrGrant is wrapped by every refusal to issue a ticket.
var ErrGrant = errors.New("bad ticket")

// Grant is what a ticket is issued for.
type Grant struct {
	Channels []string      // 1 to 64, with 2048 bytes together
	User     string        // may be empty: then the stream cannot be ended by user
	OpenFor  time.Duration // how long it can be opened; 0: DefaultOpenFor
	Until    time.Duration // from now on: how long streams by it and by its renewals may last; 0: DefaultUntil
}

// Opened tells other nodes of a ticket that was opened here.
type Opened struct {
	Family     []byte `json:"f"`
	Generation uint32 `json:"g"`
	Issued     int64  `json:"i"` // microseconds since 1970
	Until      int64  `json:"u"` // seconds since 1970
}

// Tickets issues tickets, and is the [auth.Means] of those that come back. Safe for
// concurrent use.
type Tickets struct {
	keys     atomic.Pointer[Keys]
	announce atomic.Pointer[func(Opened)]
	spent    spent
	issued   atomic.Int64
}

// New returns tickets of keys.
func New(keys *Keys) *Tickets {
	t := new(Tickets)
	t.keys.Store(keys)
	return t
}

// SetKeys has other keys seal and open tickets from now on.
func (t *Tickets) SetKeys(keys *Keys) { t.keys.Store(keys) }

// Announce has f called for every ticket that is opened here. It is called on event
// loops, so it must not wait.
func (t *Tickets) Announce(f func(Opened)) { t.announce.Store(&f) }

// Hear notes that another node has opened a ticket.
func (t *Tickets) Hear(o Opened, now time.Time) {
	var f family
	if copy(f[:], o.Family) == len(f) && o.Until <= now.Add(MaxUntil).Unix() {
		t.spent.hear(f, o.Generation, o.Issued, o.Until, now.Unix())
	}
}

// Issue returns a ticket. Errors wrap ErrGrant.
func (t *Tickets) Issue(g Grant, now time.Time) (string, error) {
	if err := g.check(); err != nil {
		return "", fmt.Errorf("%w: %w", ErrGrant, err)
	}
	c := &contents{
		issued: now.UnixMicro(), openBy: now.Add(g.OpenFor).Unix(), until: now.Add(g.Until).Unix(),
		user: g.User, channels: g.Channels,
	}
	rand.Read(c.family[:])
	t.issued.Add(1)
	return c.text(t.keys.Load()), nil
}

// check completes g with the defaults and reports what is wrong with it.
func (g *Grant) check() error {
	if g.OpenFor == 0 {
		g.OpenFor = DefaultOpenFor
	}
	if g.Until == 0 {
		g.Until = DefaultUntil
	}
	switch {
	case g.OpenFor < time.Second || g.OpenFor > MaxOpenFor:
		return fmt.Errorf("to be opened within %v, want %v to %v", g.OpenFor, time.Second, MaxOpenFor)
	case g.Until < time.Second || g.Until > MaxUntil:
		return fmt.Errorf("until %v from now, want %v to %v", g.Until, time.Second, MaxUntil)
	case len(g.Channels) == 0 || len(g.Channels) > maxChannels:
		return fmt.Errorf("for %d channels, want 1 to %d", len(g.Channels), maxChannels)
	}
	names := 0
	for i, name := range g.Channels {
		if err := channels.CheckName([]byte(name)); err != nil {
			return err
		}
		if slices.Contains(g.Channels[:i], name) {
			return fmt.Errorf("for the channel %.64q twice", name)
		}
		names += len(name)
	}
	if names > maxNames {
		return fmt.Errorf("names of channels with %d bytes together, want at most %d", names, maxNames)
	}
	if g.User != "" {
		return auth.CheckUser(g.User)
	}
	return nil
}

// Find implements auth.Means. Of several tickets none is returned, which Judge refuses.
func (t *Tickets) Find(r *auth.Request) (text string, ok bool) {
	for name, value := range httpparse.Params([]byte(r.Query)) {
		switch {
		case string(name) != Param:
		case ok:
			return "", true
		default:
			text, ok = string(value), true
		}
	}
	return text, ok
}

// Judge implements auth.Means. It answers at once.
func (t *Tickets) Judge(r *auth.Request, text string, need []string, now time.Time, _ func(auth.Verdict)) (auth.Verdict, bool) {
	c, v := t.read(text, now)
	if v.Status != auth.Granted {
		return v, true
	}
	v = auth.Verdict{Means: auth.MeansTicket, Channels: c.channels, User: c.user, Issued: time.UnixMicro(c.issued), Expires: at(c.until)}
	for _, channel := range need {
		if !slices.Contains(c.channels, channel) {
			v = refuse("no_grant", fmt.Sprintf("the ticket is not for the channel %.64q", channel))
			v.Status = auth.Forbidden
			return v, true
		}
	}
	if len(need) > 0 {
		v.Channels = need
	}
	if r.Method == "HEAD" { // opens no stream
		return v, true
	}
	switch t.spent.open(c, now.Unix()) {
	case reused:
		return refuse("spent", "the ticket has been used: it opens a stream once"), true
	case unknown:
		return refuse("forgotten", "too many tickets have been opened since this one was issued to know that it has not been"), true
	}
	v.Renewal = c.renewal(v.Channels).text(t.keys.Load())
	if announce := t.announce.Load(); announce != nil {
		(*announce)(Opened{c.family[:], c.generation, c.issued, c.until})
	}
	return v, true
}

// read returns what is sealed in a ticket, and refuses one that cannot be opened now.
func (t *Tickets) read(text string, now time.Time) (*contents, auth.Verdict) {
	if len(text) > maxText {
		return nil, refuse("malformed", fmt.Sprintf("the ticket has %d letters, want at most %d", len(text), maxText))
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || text == "" {
		return nil, refuse("malformed", "want one ticket, as SSE.TICKET gives it")
	}
	c := new(contents)
	plain, ok := t.keys.Load().open(sealed)
	switch {
	case !ok:
		return nil, refuse("key", "the ticket was not sealed with a key of this node, or has been changed")
	case c.parse(plain) != nil:
		return nil, refuse("malformed", errContents.Error())
	case now.Unix() > c.openBy:
		return nil, refuse("expired", "the ticket was to be opened by "+at(c.openBy).UTC().Format(time.RFC3339))
	case now.Unix() >= c.until:
		return nil, refuse("expired", "what the ticket grants was over at "+at(c.until).UTC().Format(time.RFC3339))
	}
	return c, auth.Verdict{}
}

// refuse returns the verdict on a ticket that is not good.
func refuse(reason, text string) auth.Verdict {
	return auth.Verdict{Status: auth.Unauthorized, Means: auth.MeansTicket, Reason: reason, Text: text}
}

// Stats are figures of tickets, since the process began but for Known.
type Stats struct {
	Issued    int64
	Known     int   // families of which it is known which ticket was opened last
	Forgotten int64 // families for which there was no room
}

// Stats returns the figures as they are now.
func (t *Tickets) Stats() Stats {
	known, forgotten := t.spent.figures()
	return Stats{Issued: t.issued.Load(), Known: known, Forgotten: forgotten}
}
