package admin

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"millrace/internal/resp"
)

// sorted returns the connections in the order in which they came.
func (s *Server) sorted() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sortedLocked()
}

func (s *Server) sortedLocked() []*conn {
	conns := slices.Collect(maps.Keys(s.conns))
	slices.SortFunc(conns, func(a, b *conn) int { return cmp.Compare(a.id, b.id) })
	return conns
}

// filter tells whether CLIENT LIST or CLIENT KILL is about a connection.
type filter func(c *conn) bool

// filterBy returns the filter that an option of CLIENT KILL stands for, or replies
// with an error.
func (c *conn) filterBy(option, value []byte) (f filter, ok bool) {
	text := string(value)
	switch strings.ToLower(string(option)) {
	case "id":
		return c.filterIDs([][]byte{value})
	case "type":
		return c.filterType(text)
	case "addr":
		return func(c *conn) bool { return c.nc.RemoteAddr().String() == text }, true
	case "laddr":
		return func(c *conn) bool { return c.nc.LocalAddr().String() == text }, true
	case "user":
		return func(*conn) bool { return text == "default" }, true
	}
	c.fail("ERR syntax error")
	return nil, false
}

func (c *conn) filterIDs(values [][]byte) (f filter, ok bool) {
	ids := make(map[int64]bool, len(values))
	for _, value := range values {
		id, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || id < 1 {
			c.fail("ERR Invalid client ID")
			return nil, false
		}
		ids[id] = true
	}
	return func(c *conn) bool { return ids[c.id] }, true
}

func (c *conn) filterType(name string) (f filter, ok bool) {
	switch strings.ToLower(name) {
	case "normal":
		return func(c *conn) bool { return !c.known.Load().subscribed() }, true
	case "pubsub":
		return func(c *conn) bool { return c.known.Load().subscribed() }, true
	case "master", "replica", "slave":
		return func(*conn) bool { return false }, true
	}
	c.fail("ERR Unknown client type '%.64s'", name)
	return nil, false
}

// clientList answers CLIENT LIST [TYPE type] [ID id ...].
func (c *conn) clientList(args [][]byte) {
	f, ok := filter(func(*conn) bool { return true }), true
	if options := args[2:]; len(options) > 0 {
		switch option := strings.ToLower(string(options[0])); {
		case option == "type" && len(options) == 2:
			f, ok = c.filterType(string(options[1]))
		case option == "id" && len(options) >= 2:
			f, ok = c.filterIDs(options[1:])
		default:
			c.fail("ERR syntax error")
			return
		}
	}
	if !ok {
		return
	}
	c.show()
	var list []byte
	for _, other := range c.server.sorted() {
		if f(other) {
			list = other.appendAbout(list)
		}
	}
	c.out = resp.AppendBulk(c.out, list)
}

// clientKill answers CLIENT KILL addr:port, and CLIENT KILL with options: ID, TYPE,
// ADDR, LADDR, USER, and SKIPME yes|no. It ends the connections that fit all of them.
func (c *conn) clientKill(args [][]byte) {
	if len(args) == 3 {
		addr := string(args[2])
		if c.kill(func(c *conn) bool { return c.nc.RemoteAddr().String() == addr }, false) == 0 {
			c.fail("ERR No such client")
			return
		}
		c.ok()
		return
	}
	if len(args)%2 != 0 {
		c.fail("ERR syntax error")
		return
	}
	var filters []filter
	skipMe := true
	for options := args[2:]; len(options) > 0; options = options[2:] {
		if strings.EqualFold(string(options[0]), "skipme") {
			value := strings.ToLower(string(options[1]))
			if value != "yes" && value != "no" {
				c.fail("ERR syntax error")
				return
			}
			skipMe = value == "yes"
			continue
		}
		f, ok := c.filterBy(options[0], options[1])
		if !ok {
			return
		}
		filters = append(filters, f)
	}
	killed := c.kill(func(c *conn) bool {
		return !slices.ContainsFunc(filters, func(f filter) bool { return !f(c) })
	}, skipMe)
	c.out = resp.AppendInt(c.out, int64(killed))
}

// kill ends the connections that f tells, and returns how many. This one is ended when
// it has the reply.
func (c *conn) kill(f filter, skipMe bool) (killed int) {
	c.show()
	for _, other := range c.server.sorted() {
		switch {
		case !f(other) || other == c && skipMe:
			continue
		case other == c:
			c.leaving = true
		default:
			other.hangUp()
		}
		killed++
	}
	return killed
}
