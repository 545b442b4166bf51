package admin

import (
	"maps"
	"slices"
	"strings"

	"millrace/channels"
	"millrace/internal/resp"
)

// Bounds on the subscriptions of one connection. A pattern is matched with every
// message that is published.
const (
	maxChannels = 1 << 16
	maxPatterns = 64
)

// subscribeBatch is how many channels are subscribed to while publishers wait.
const subscribeBatch = 256

// subscriptions are those of one connection, owned by its goroutine.
type subscriptions struct {
	channels, patterns, shards map[string]bool
	ever                       bool // there has been one
}

// count is the number that SUBSCRIBE and PSUBSCRIBE tell; shard channels are told by
// themselves.
func (s *subscriptions) count() int { return len(s.channels) + len(s.patterns) }

// any tells whether there are some.
func (s *subscriptions) any() bool { return s.count()+len(s.shards) > 0 }

// subscribe answers SUBSCRIBE channel [channel ...].
func (c *conn) subscribe(args [][]byte) {
	for _, name := range args[1:] {
		if err := checkChannel(name); err != nil {
			c.fail("ERR %.512v", err)
			return
		}
	}
	c.follow(args, &c.subscriptions.channels, maxChannels, c.listen)
}

// subscribeShards answers SSUBSCRIBE channel [channel ...].
func (c *conn) subscribeShards(args [][]byte) {
	for _, name := range args[1:] {
		if err := checkShard(name); err != nil {
			c.fail("ERR %.512v", err)
			return
		}
	}
	c.follow(args, &c.subscriptions.shards, maxChannels, func(names []string) { c.listen(shards(names)) })
}

// psubscribe answers PSUBSCRIBE pattern [pattern ...].
func (c *conn) psubscribe(args [][]byte) {
	for _, pattern := range args[1:] {
		if len(pattern) > channels.MaxName {
			c.fail("ERR pattern %.32q... has %d bytes, want at most %d", pattern, len(pattern), channels.MaxName)
			return
		}
	}
	c.follow(args, &c.subscriptions.patterns, maxPatterns, c.listenPatterns)
}

// follow adds the names of args to a set of subscriptions, has listen listen to the new
// ones, and confirms each.
func (c *conn) follow(args [][]byte, set *map[string]bool, most int, listen func(names []string)) {
	fresh := 0
	for _, arg := range args[1:] {
		if !(*set)[string(arg)] {
			fresh++
		}
	}
	if len(*set)+fresh > most {
		c.fail("ERR %s to more than %d in one connection", strings.ToUpper(string(args[0])), most)
		return
	}
	if c.outbox != nil { // more than that ends a subscriber
		switch c.outbox.awaitUnsent(maxUnsent) {
		case nil:
		case errInterrupted:
			c.putBack(args)
			return
		default:
			c.hangup = true
			return
		}
	}
	c.needOutbox()
	if !c.subscriptions.ever {
		c.subscriptions.ever = true
		c.server.subscribers.Add(1)
	}
	if *set == nil {
		*set = make(map[string]bool)
	}
	kind := strings.ToLower(string(args[0]))
	added := make([]string, 0, fresh)
	for _, arg := range args[1:] {
		if name := string(arg); !(*set)[name] {
			(*set)[name] = true
			added = append(added, name)
		}
		c.confirm(kind, arg)
	}
	// A message must come after the confirmation, and a client that has read the
	// confirmation must miss no message from then on.
	c.outbox.hold(true)
	c.outbox.put(c.out)
	c.out = c.out[:0]
	listen(added)
	c.outbox.hold(false)
}

// unsubscribe answers UNSUBSCRIBE [channel ...]; without any, from all.
func (c *conn) unsubscribe(args [][]byte) {
	c.leave(args, c.subscriptions.channels, c.unlisten)
}

// punsubscribe answers PUNSUBSCRIBE [pattern ...]; without any, from all.
func (c *conn) punsubscribe(args [][]byte) {
	c.leave(args, c.subscriptions.patterns, c.unlistenPatterns)
}

// unsubscribeShards answers SUNSUBSCRIBE [channel ...]; without any, from all.
func (c *conn) unsubscribeShards(args [][]byte) {
	c.leave(args, c.subscriptions.shards, func(names []string) { c.unlisten(shards(names)) })
}

// leave takes the names of args out of a set of subscriptions, or all of them, and
// confirms each.
func (c *conn) leave(args [][]byte, set map[string]bool, unlisten func(names []string)) {
	kind := strings.ToLower(string(args[0]))
	var names []string
	for _, arg := range args[1:] {
		names = append(names, string(arg))
	}
	if len(args) == 1 {
		names = slices.Sorted(maps.Keys(set))
	}
	if len(names) == 0 {
		c.confirm(kind, nil)
		return
	}
	unlisten(names)
	for _, name := range names {
		delete(set, name)
		c.confirm(kind, []byte(name))
	}
}

// confirm appends the answer to a change of subscriptions; name is nil if there was none
// to end.
func (c *conn) confirm(kind string, name []byte) {
	c.out = resp.AppendBulk(resp.AppendPush(c.out, 3, c.version), kind)
	if name == nil {
		c.out = resp.AppendNull(c.out, c.version)
	} else {
		c.out = resp.AppendBulk(c.out, name)
	}
	n := c.subscriptions.count()
	if kind == "ssubscribe" || kind == "sunsubscribe" {
		n = len(c.subscriptions.shards)
	}
	c.out = resp.AppendInt(c.out, int64(n))
}

// unsubscribeAll ends all subscriptions without a word. Nothing is heard any more
// when it returns.
func (c *conn) unsubscribeAll() {
	c.unlisten(slices.Collect(maps.Keys(c.subscriptions.channels)))
	c.unlisten(shards(slices.Collect(maps.Keys(c.subscriptions.shards))))
	c.unlistenPatterns(slices.Collect(maps.Keys(c.subscriptions.patterns)))
	c.subscriptions = subscriptions{ever: c.subscriptions.ever}
}

func (c *conn) listen(names []string) {
	for batch := range slices.Chunk(names, subscribeBatch) {
		c.server.cfg.Broker.Observe(c.outbox, batch...)
	}
}

func (c *conn) listenPatterns(patterns []string) {
	for _, pattern := range patterns {
		c.server.cfg.Broker.ObserveGlob(c.outbox, channels.Glob(pattern))
	}
}

func (c *conn) unlisten(names []string) {
	if c.outbox == nil {
		return // it never listened
	}
	for batch := range slices.Chunk(names, subscribeBatch) {
		c.server.cfg.Broker.Unobserve(c.outbox, batch...)
	}
}

func (c *conn) unlistenPatterns(patterns []string) {
	if c.outbox == nil {
		return
	}
	for _, pattern := range patterns {
		c.server.cfg.Broker.UnobserveGlob(c.outbox, channels.Glob(pattern))
	}
}
