package server

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"millrace/channels"
	"millrace/internal/netpoll"
	"millrace/internal/pattern"
	"millrace/internal/testenv"
)

// inflated returns the text of the body of a gzip stream, as far as it has come.
func inflated(t testing.TB, body string) string {
	t.Helper()
	if len(body) < 10 {
		return ""
	}
	r, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatalf("a body that begins with %q: %v", body[:10], err)
	}
	text, err := io.ReadAll(r)
	if err != io.ErrUnexpectedEOF { // there is no trailer
		t.Fatalf("after %d bytes of text: %v", len(text), err)
	}
	return string(text)
}

// textModel is what clients of one channel must see, with a content coding or without: all
// that was published, byte for byte.
type textModel struct {
	handLoop
	channel string
	base    int      // the sequence of the first message of the model, less one
	events  []string // all wire forms; of a gap ""
	clients []*textClient
}

// textClient is a client that may be cut, and comes back.
type textClient struct {
	gzip   bool
	lastID string
	pos    int // it has all events below, or was told
	fd     int32
	peer   int // -1 when it is not connected
	body   string
	head   bool // has come
	seen   int  // of the text
	came   int  // events there were when it came
	gap    bool // it has been told of one since
	last   string
}

// GoString tells of a client what fits on a line.
func (c *textClient) GoString() string {
	return fmt.Sprintf("gzip: %v, has all below %d, last id %q", c.gzip, c.pos, c.lastID)
}

// join connects c, with its last id if it has one.
func (m *textModel) join(t *rapid.T, c *textClient, narrow bool) {
	ours, theirs := socketPair(m.t)
	if narrow {
		unix.SetsockoptInt(ours, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096)
	}
	if err := m.open(int32(ours), netpoll.Peer{}, false); err != nil {
		t.Fatal(err)
	}
	if c.lastID == "" {
		c.pos = len(m.events)
	}
	c.fd, c.peer, c.body, c.head, c.seen, c.came, c.gap = int32(ours), theirs, "", false, 0, len(m.events), false
	headers := "Host: test\r\n"
	if c.gzip {
		headers += "Accept-Encoding: gzip\r\n"
	}
	if c.lastID != "" {
		headers += "Last-Event-ID: " + c.lastID + "\r\n"
	}
	unixWrite(m.t, theirs, "GET "+m.channel+" HTTP/1.1\r\n"+headers+"\r\n")
	m.on(c.fd, true, false)
	m.take(t, c)
}

// cut ends c from its side.
func (m *textModel) cut(c *textClient) {
	unix.Close(c.peer)
	c.peer = -1
	if m.owns(c.fd) {
		m.on(c.fd, true, false)
	}
}

// take reads what has arrived, and checks it.
func (m *textModel) take(t *rapid.T, c *textClient) {
	t.Helper()
	raw, ended := strings.CutSuffix(received(c.peer), "EOF")
	if raw == "" && !ended {
		return
	}
	c.body += raw
	if !c.head {
		head, body, ok := strings.Cut(c.body, "\r\n\r\n")
		if !ok {
			return
		}
		c.body, c.head = body, true
		if coded := strings.Contains(head, "Content-Encoding: gzip"); coded != c.gzip || !strings.Contains(head, "Vary: Accept-Encoding") {
			t.Fatalf("a client that wants gzip: %v, gets %q", c.gzip, head)
		}
	}
	text := c.body
	if c.gzip {
		text = inflated(m.t, c.body)
	}
	for {
		event, _, whole := strings.Cut(text[c.seen:], "\n\n")
		if !whole {
			break
		}
		c.seen += len(event) + 2
		m.see(t, c, event+"\n\n")
	}
	if ended { // it was lapped
		m.cut(c)
	}
}

// see is c receiving one event, or a comment.
func (m *textModel) see(t *rapid.T, c *textClient, event string) {
	t.Helper()
	if event == ":keepalive\n\n" {
		return
	}
	c.last = event
	id := -1
	for line := range strings.Lines(event) {
		if value, ok := strings.CutPrefix(line, "id: E-"); ok {
			id, _ = strconv.Atoi(strings.TrimSpace(value))
		}
	}
	if id < 0 {
		t.Fatalf("an event without an id: %.80q", event)
	}
	c.lastID = fmt.Sprintf("E-%d", id)
	switch {
	case strings.Contains(event, "event: "+channels.StartType+"\n"):
		if id-m.base != c.pos {
			t.Fatalf("a client that has all below %d begins at %d", c.pos, id-m.base)
		}
	case strings.Contains(event, "event: "+channels.GapType+"\n"):
		c.gap = true
		c.pos = max(c.pos, id-m.base)
	default:
		for m.passTold(c); c.pos < len(m.events) && m.events[c.pos] == ""; c.pos++ {
			if !slices.Contains(m.events[c.pos+1:], "") { // of several gaps the newest counts
				t.Fatalf("a client is not told of the gap at %d before %.80q", c.pos, event)
			}
		}
		if c.pos >= len(m.events) || event != m.events[c.pos] {
			t.Fatalf("gzip: %v: instead of %d, the client got %.200q", c.gzip, c.pos, event)
		}
		c.pos++
	}
}

// passTold brings c past gaps that it was told of when it came.
func (m *textModel) passTold(c *textClient) {
	for c.gap && c.pos < c.came && m.events[c.pos] == "" {
		c.pos++
	}
}

// publish publishes a message of a size.
func (m *textModel) publish(t *rapid.T, random *rand.Rand, size int) {
	var data bytes.Buffer
	for data.Len() < size {
		fmt.Fprintf(&data, `<turbo-stream action="append" target="m%d">%x`, random.IntN(100), random.Uint64()>>random.IntN(64))
	}
	data.Truncate(size)
	_, err := m.broker.Publish(m.channel, channels.Event{Data: data.Bytes()})
	if errors.Is(err, channels.ErrBusy) {
		m.turnOver()
		_, err = m.broker.Publish(m.channel, channels.Event{Data: data.Bytes()})
	}
	if err != nil {
		t.Fatal(err)
	}
	m.events = append(m.events, fmt.Sprintf("data: %s\nid: E-%d\n\n", data.String(), m.base+len(m.events)+1))
}

// some draws a client.
func (m *textModel) some(t *rapid.T, connected bool) *textClient {
	var some []*textClient
	for _, c := range m.clients {
		if (c.peer >= 0) == connected {
			some = append(some, c)
		}
	}
	if len(some) == 0 {
		t.Skip("nobody")
	}
	return rapid.SampledFrom(some).Draw(t, "client")
}

// finish brings all clients to the end, and checks that they are there.
func (m *textModel) finish(t *rapid.T) {
	for _, c := range m.clients {
		for tries := 0; c.pos < len(m.events); tries++ {
			if c.peer < 0 {
				m.join(t, c, false)
			}
			m.turnOver()
			m.take(t, c)
			if m.passTold(c); c.peer >= 0 && m.owns(c.fd) {
				m.on(c.fd, false, true)
			}
			if tries > 3000 {
				t.Fatalf("%#v: the client came at %d, was told of a gap: %v, and gets no further of %d; at last it got %.200q", c, c.came, c.gap, len(m.events), c.last)
			}
		}
	}
}

// formsSent counts messages that were sent compressed, and stored.
type formsSent struct{ compressed, stored uint64 }

func (f formsSent) and(n Stats) formsSent {
	return formsSent{f.compressed + n.Compressed, f.stored + n.Stored}
}

// Ensure that streams with the content coding gzip have the text of plain ones, byte for
// byte: whenever they come, come back, are behind, are pinged or are told of a gap, among
// any other streams, whatever is compressed and whichever dictionaries are begun.
func TestGzipAgainstModel(t *testing.T) {
	if testenv.Race {
		t.Skip("a loop that is turned by hand has no races, and takes ten times as long")
	}
	patterns, err := pattern.ParseList([]string{"/*"})
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int{0, 1, 20, 100, 100, 100, 600, 600, 2000, 4040, 4096, 4097, 8150, 8192, 8193, 32700, 32768, 65400, 65535, 70000}
	for name, kept := range map[string]int{"all is kept": 64 << 20, "little is kept": 300 << 10} {
		t.Run(name, func(t *testing.T) {
			h := turnByHand(t, Config{Keepalive: time.Second, Gzip: patterns}, channels.Options{History: 20, Epoch: "E", MaxEventBytes: 128 << 10, MaxKept: kept, PublishTimeout: 1})
			hasTime := h.hasTime
			var sent formsSent // by loops before
			total, run := 0, 0
			rapid.Check(t, func(t *rapid.T) {
				run++
				m := &textModel{handLoop: h, channel: fmt.Sprintf("/%d", run), base: total}
				random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
				defer func() {
					total = m.base + len(m.events)
					h.hasTime = hasTime
					for _, c := range m.clients {
						if c.peer >= 0 {
							m.cut(c)
						}
					}
				}()
				join := func(t *rapid.T) {
					c := &textClient{gzip: rapid.IntRange(0, 4).Draw(t, "plain") > 0}
					m.clients = append(m.clients, c)
					m.join(t, c, rapid.IntRange(0, 3).Draw(t, "narrow") == 0)
				}
				for range rapid.SampledFrom([]int{0, 9, 12}).Draw(t, "crowd") {
					join(t)
				}
				publish := func(t *rapid.T) {
					for range rapid.IntRange(1, 4).Draw(t, "messages") {
						m.publish(t, random, rapid.SampledFrom(sizes).Draw(t, "size"))
					}
				}
				t.Repeat(map[string]func(*rapid.T){
					"publish":    publish,
					"publish2":   publish,
					"publish3":   publish,
					"turn":       func(t *rapid.T) { m.turnOver() },
					"turn2":      func(t *rapid.T) { m.turnOver() },
					"join":       join,
					"come back":  func(t *rapid.T) { m.join(t, m.some(t, false), rapid.Bool().Draw(t, "narrow")) },
					"cut":        func(t *rapid.T) { m.cut(m.some(t, true)) },
					"read":       func(t *rapid.T) { m.take(t, m.some(t, true)) },
					"pings":      func(t *rapid.T) { m.pass(time.Second) },
					"text pings": func(t *rapid.T) { m.pass(textPing) },
					"travel": func(t *rapid.T) {
						if rapid.IntRange(0, 9).Draw(t, "one of ten") > 0 {
							t.Skip()
						}
						next, descriptors := h.travel()
						sent = sent.and(h.server.Stats())
						h, m.handLoop, hasTime = next, next, next.hasTime
						for _, c := range m.clients {
							if c.peer >= 0 {
								c.fd = descriptors[c.fd]
							}
						}
					},
					"gap": func(t *rapid.T) {
						m.turnOver() // so that the gap has a place of its own
						m.broker.Feed().Interrupted(m.channel)
						for int(m.broker.Feed().Head())-m.base > len(m.events) {
							m.events = append(m.events, "")
						}
					},
					"time": func(t *rapid.T) {
						left := rapid.IntRange(0, 5).Draw(t, "compressed")
						h.hasTime = func() bool { left--; return left >= 0 }
					},
					"writable": func(t *rapid.T) {
						if c := m.some(t, true); m.owns(c.fd) {
							m.on(c.fd, false, true)
						}
					},
				})
				m.finish(t)
			})
			if len(h.readers.m) > 0 || len(h.gzips.m) > 0 || h.broker.Ports().Figures().Texts > 0 {
				t.Errorf("%d readers, %d channels of the loop and %d of the broker with gzip streams are left", len(h.readers.m), len(h.gzips.m), h.broker.Ports().Figures().Texts)
			}
			stats := sent.and(h.server.Stats())
			if stats.compressed == 0 || stats.stored == 0 || h.broker.Ports().Figures().Fresh == 0 {
				t.Errorf("%d messages were sent compressed, %d stored, %d dictionaries were begun: the test has not seen all", stats.compressed, stats.stored, h.broker.Ports().Figures().Fresh)
			}
		})
	}
}
