package admin

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/channels"
	"millrace/internal/resp"
)

// role answers ROLE: that of a master without replicas.
func (c *conn) role([][]byte) {
	c.out = resp.AppendBulk(resp.AppendArray(c.out, 3), "master")
	c.out = resp.AppendInt(c.out, 0)
	c.out = resp.AppendArray(c.out, 0)
}

// time answers TIME: seconds and microseconds.
func (c *conn) time([][]byte) {
	now := time.Now().UnixMicro()
	c.out = resp.AppendBulk(resp.AppendArray(c.out, 2), strconv.FormatInt(now/1e6, 10))
	c.out = resp.AppendBulk(c.out, strconv.FormatInt(now%1e6, 10))
}

// settings are those that CONFIG GET knows: clients look into them, and they are true here.
func (s *Server) settings() map[string]string {
	host, port, _ := net.SplitHostPort(s.ln.Addr().String())
	return map[string]string{
		"appendonly":             "no",
		"bind":                   host,
		"databases":              "16",
		"maxclients":             strconv.Itoa(s.cfg.MaxClients),
		"maxmemory":              "0",
		"maxmemory-policy":       "noeviction",
		"notify-keyspace-events": "",
		"port":                   port,
		"proto-max-bulk-len":     strconv.Itoa(s.limits.Bulk),
		"save":                   "",
		"timeout":                "0",
	}
}

// configGet answers CONFIG GET pattern [pattern ...].
func (c *conn) configGet(args [][]byte) {
	settings := c.server.settings()
	maps.DeleteFunc(settings, func(name, _ string) bool {
		return !slices.ContainsFunc(args[2:], func(pattern []byte) bool {
			return channels.Glob(strings.ToLower(string(pattern))).Match(name)
		})
	})
	c.out = resp.AppendMap(c.out, len(settings), c.version)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		c.out = resp.AppendBulk(resp.AppendBulk(c.out, name), settings[name])
	}
}
