package server

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"millrace/channels"
	"millrace/internal/ssetest"
)

// modelHistory is how many messages a channel keeps for sure.
const modelHistory = 4

// resumeModel is what clients must see: every message that was published, and
// for each client how far it is.
type resumeModel struct {
	handLoop
	via       ssetest.Transport
	base      int      // messages of the broker before the first of the model
	published []string // by message, its channel; of a loss those that it is of, each after a "!"
	clients   []*modelClient
}

// modelClient is a client that may be cut, and comes back with its last id.
type modelClient struct {
	names  []string
	lastID string
	pos    int   // it has all messages of its channels below this index, or was told
	peer   *peer // nil when it is not connected
	head   int   // messages there were when it came
	gap    bool
	unread string // received, and not yet a whole event
}

func (m *resumeModel) wants(c *modelClient, message int) bool {
	return slices.Contains(c.names, m.published[message])
}

// owes tells whether c, which gets what is at now, has to have been told of a loss before:
// of several on a channel, of the newest.
func (m *resumeModel) owes(c *modelClient, loss, now int) bool {
	return slices.ContainsFunc(c.names, func(name string) bool {
		lost := func(item string) bool { return strings.Contains(item+"!", "!"+name+"!") }
		return lost(m.published[loss]) && !slices.ContainsFunc(m.published[now:], lost)
	})
}

// lose has something be lost of channels.
func (m *resumeModel) lose(names []string) {
	head := m.broker.Feed().Head()
	m.broker.Feed().Interrupted(names...)
	if m.broker.Feed().Head() > head {
		m.published = append(m.published, "")
	}
	if len(m.published) == 0 {
		return // it shares a place before the model, where nobody is
	}
	m.published[len(m.published)-1] += "!" + strings.Join(names, "!")
}

// mayBeGone tells whether message need not have been kept for one who came when
// there were head messages.
func (m *resumeModel) mayBeGone(message, head int) bool {
	newer := 0
	for _, channel := range m.published[message+1 : head] {
		if channel == m.published[message] {
			newer++
		}
	}
	return newer >= modelHistory
}

// join connects c, with its last id if it has one.
func (m *resumeModel) join(t *rapid.T, c *modelClient, byQuery bool) {
	c.peer, c.head, c.gap, c.unread = m.dial(m.via), len(m.published), false, ""
	c.peer.narrow()
	target, header := c.names[0]+"?x", []string(nil)
	for _, name := range c.names[1:] {
		target += "&channel=" + name
	}
	switch {
	case c.lastID == "":
		c.pos = len(m.published)
	case byQuery:
		target += "&last_event_id=" + c.lastID
	default:
		header = []string{"Last-Event-ID: " + c.lastID}
	}
	c.peer.ask(target, header...)
	m.take(t, c)
}

// cut ends c from its side.
func (m *resumeModel) cut(c *modelClient) {
	c.peer.leave()
	c.peer = nil
}

// take reads what has arrived, and checks it.
func (m *resumeModel) take(t *rapid.T, c *modelClient) {
	text, ended := strings.CutSuffix(c.peer.received(), "EOF")
	c.unread += text
	for {
		block, rest, whole := strings.Cut(c.unread, "\n\n")
		if !whole {
			break
		}
		c.unread = rest
		m.see(t, c, block)
	}
	if ended { // it was lapped
		m.cut(c)
	}
}

// see is c receiving one event, or the greeting.
func (m *resumeModel) see(t *rapid.T, c *modelClient, block string) {
	index := -1
	for line := range strings.SplitSeq(block, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "event":
			c.gap = true
		case "data":
			if number, _, ok := strings.Cut(value, " "); ok {
				index, _ = strconv.Atoi(number)
			}
		case "id":
			c.lastID = value
		}
	}
	id, err := strconv.Atoi(strings.TrimPrefix(c.lastID, "E-"))
	if err != nil || index >= 0 && id != m.base+index+1 {
		t.Fatalf("event %.60q: id %q, want E-%d", block, c.lastID, m.base+index+1)
	}
	now := max(id-m.base, c.pos) // what it has from here on, but for the message itself
	if index >= 0 {
		now = index
		if index < c.pos || !m.wants(c, index) {
			t.Fatalf("a client of %v that has all below %d got %d of %s", c.names, c.pos, index, m.published[index])
		}
	}
	gap := strings.Contains(block, channels.GapType)
	for missing := c.pos; missing < now; missing++ {
		if m.owes(c, missing, now) && !gap && !(c.gap && missing < c.head) {
			t.Fatalf("a client of %v that has all below %d is not told of the loss at %d: %.60q", c.names, c.pos, missing, block)
		}
		if m.wants(c, missing) && !(c.gap && missing < c.head && m.mayBeGone(missing, c.head)) {
			t.Fatalf("a client of %v that came at %d, told of a gap: %v, misses %d of %s: %.60q", c.names, c.head, c.gap, missing, m.published[missing], block)
		}
	}
	if gap && !m.lost(c, now) {
		t.Fatalf("a client of %v, back at %d with all below %d, is told of a gap that there need not be: %.100q", c.names, c.head, c.pos, block)
	}
	if c.pos = now; index >= 0 {
		c.pos++
	}
}

// lost tells whether something may be gone that c misses, or was lost before now.
func (m *resumeModel) lost(c *modelClient, now int) bool {
	for loss := c.pos; loss < max(now, c.head); loss++ {
		if slices.ContainsFunc(c.names, func(name string) bool { return strings.Contains(m.published[loss]+"!", "!"+name+"!") }) {
			return true
		}
	}
	for message := c.pos; message < c.head; message++ {
		if m.wants(c, message) && m.mayBeGone(message, c.head) {
			return true
		}
	}
	return false
}

// Ensure that clients which come, read at random, are cut and come back with
// their last id see every message of their channels once and in order, or are
// told of a gap, and that only where there can be one; and that each loss on
// their channels is told, before what comes after it.
func TestResumeAgainstModel(t *testing.T) { ssetest.Over(t, testResumeAgainstModel) }

func testResumeAgainstModel(t *testing.T, via ssetest.Transport) {
	h := turnByHandOver(t, via, Config{}, channels.Options{History: modelHistory, Epoch: "E"})
	total := 0
	rapid.Check(t, func(t *rapid.T) {
		m := &resumeModel{handLoop: h, via: via, base: total}
		defer func() {
			for _, c := range m.clients {
				if c.peer != nil {
					m.cut(c)
				}
			}
		}()
		prefix := fmt.Sprintf("/%d/", total)
		name := rapid.Map(rapid.SampledFrom([]string{"a", "b", "c"}), func(s string) string { return prefix + s })
		names := rapid.SliceOfNDistinct(name, 1, 3, rapid.ID[string])
		client := func(t *rapid.T, connected bool) *modelClient {
			var some []*modelClient
			for _, c := range m.clients {
				if (c.peer != nil) == connected {
					some = append(some, c)
				}
			}
			if len(some) == 0 {
				t.Skip("nobody")
			}
			return rapid.SampledFrom(some).Draw(t, "client")
		}
		publish := func(t *rapid.T) {
			channel := name.Draw(t, "channel")
			data := fmt.Appendf(nil, "%d %s", len(m.published), strings.Repeat("x", rapid.IntRange(0, 3000).Draw(t, "size")))
			m.published = append(m.published, channel)
			total++
			if _, err := m.broker.Publish(channel, channels.Event{Data: data}); err != nil {
				t.Fatal(err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish":  publish,
			"publish2": publish,
			"publish3": publish,
			"join": func(t *rapid.T) {
				c := &modelClient{names: names.Draw(t, "channels")}
				m.clients = append(m.clients, c)
				m.join(t, c, false)
			},
			"come back": func(t *rapid.T) { m.join(t, client(t, false), rapid.Bool().Draw(t, "by query")) },
			"cut":       func(t *rapid.T) { m.cut(client(t, true)) },
			"read":      func(t *rapid.T) { m.take(t, client(t, true)) },
			"writable": func(t *rapid.T) {
				client(t, true).peer.writable()
			},
			"turn": func(t *rapid.T) { m.turnOver() },
			"lose": func(t *rapid.T) {
				m.lose(names.Draw(t, "channels"))
				total = m.base + len(m.published)
			},
		})
		for _, c := range m.clients {
			if c.peer == nil {
				m.join(t, c, false)
			}
			for m.turnOver(); c.peer != nil && c.peer.isBehind(); {
				if m.take(t, c); c.peer != nil {
					c.peer.writable()
				}
			}
			if c.peer != nil {
				m.take(t, c)
			}
			if c.peer == nil {
				continue // it was lapped, and would come back
			}
			for message := c.pos; message < len(m.published); message++ {
				if told := c.gap && message < c.head; m.wants(c, message) || m.owes(c, message, len(m.published)) && !told {
					t.Fatalf("a client of %v that has all below %d does not get %d", c.names, c.pos, message)
				}
			}
		}
	})
	if len(h.readers.m) > 0 || len(h.needs.m) > 0 || h.counters.streams.Load() > 0 {
		t.Errorf("%d readers, %d needs and %d streams are left", len(h.readers.m), len(h.needs.m), h.counters.streams.Load())
	}
}
