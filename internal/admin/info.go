package admin

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/internal/resp"
)

// Stats are the figures of the port. Those that count do so since it was opened.
type Stats struct {
	Connections, MaxConnections int
	Rejected                    int64 // connections for which there was no room
	Displaced                   int64 // connections without the password that were ended for newer ones
	Dropped                     int64 // clients that were ended because they did not read
	WrongPasswords              int64
	Unread                      int64 // bytes that wait for clients
}

// Stats returns the figures as they are now.
func (s *Server) Stats() Stats {
	return Stats{
		Connections: s.clients(), MaxConnections: s.cfg.MaxClients,
		Rejected: s.rejected.Load(), Displaced: s.displaced.Load(), Dropped: s.dropped.Load(),
		WrongPasswords: s.guesses.Count(), Unread: s.unsent.Load(),
	}
}

// infoSections are the sections of INFO, in order, that clients of Redis look
// into.
var infoSections = []struct {
	name   string
	append func(dst []byte, s *Server) []byte
}{
	{"Server", func(dst []byte, s *Server) []byte {
		port := 0
		if tcp, ok := s.ln.Addr().(*net.TCPAddr); ok {
			port = tcp.Port
		}
		return fmt.Appendf(dst, "redis_version:%s\r\nredis_mode:standalone\r\nmillrace_version:%s\r\nprocess_id:%d\r\n"+
			"tcp_port:%d\r\nuptime_in_seconds:%d\r\n",
			redisVersion, s.cfg.Version, os.Getpid(), port, int(time.Since(s.started).Seconds()))
	}},
	{"Clients", func(dst []byte, s *Server) []byte {
		return fmt.Appendf(dst, "connected_clients:%d\r\nmaxclients:%d\r\npubsub_clients:%d\r\nclients_idle_for_a_minute:%d\r\nclients_unread_bytes:%d\r\n",
			s.clients(), s.cfg.MaxClients, s.subscribers.Load(), s.idle(time.Minute), s.unsent.Load())
	}},
	{"Persistence", func(dst []byte, s *Server) []byte {
		return append(dst, "loading:0\r\n"...)
	}},
	{"Stats", func(dst []byte, s *Server) []byte {
		return fmt.Appendf(dst, "total_connections_received:%d\r\nrejected_connections:%d\r\ndisplaced_connections:%d\r\nwrong_passwords:%d\r\n"+
			"total_commands_processed:%d\r\npubsub_patterns:%d\r\nclient_output_buffer_limit_disconnections:%d\r\n",
			s.accepted.Load(), s.rejected.Load(), s.displaced.Load(), s.guesses.Count(), s.commands.Load(), s.cfg.Broker.Patterns(), s.dropped.Load())
	}},
	{"Replication", func(dst []byte, s *Server) []byte {
		return append(dst, "role:master\r\nconnected_slaves:0\r\n"...)
	}},
}

// info answers INFO [section ...].
func (c *conn) info(args [][]byte) {
	s := c.server
	var asked []string
	for _, arg := range args[1:] {
		asked = append(asked, strings.ToLower(string(arg)))
	}
	whole := len(asked) == 0 || slices.ContainsFunc(asked, func(name string) bool {
		return name == "default" || name == "all" || name == "everything"
	})
	if whole {
		asked = []string{""}
	}

	var text []byte
	add := func(section func(dst []byte) []byte) {
		from := len(text)
		if from > 0 {
			text = append(text, "\r\n"...)
		}
		head := len(text)
		if text = section(text); len(text) == head {
			text = text[:from]
		}
	}
	for _, section := range infoSections {
		if whole || slices.Contains(asked, strings.ToLower(section.name)) {
			add(func(dst []byte) []byte {
				return section.append(fmt.Appendf(dst, "# %s\r\n", section.name), s)
			})
		}
	}
	if s.cfg.Info != nil {
		for _, name := range asked {
			add(func(dst []byte) []byte { return s.cfg.Info(dst, name) })
		}
	}
	c.out = resp.AppendBulk(c.out, text)
}

// maxSlow is the most event streams that SSE.CONNECTIONS lists, and defaultSlow how
// many unless it is told.
const maxSlow, defaultSlow = 1000, 20

// sseConnections answers SSE.CONNECTIONS [SLOW n] in the style of CLIENT LIST.
func (c *conn) sseConnections(args [][]byte) {
	n := defaultSlow
	if options := args[1:]; len(options) > 0 {
		asked, err := 0, error(strconv.ErrSyntax)
		if len(options) == 2 && strings.EqualFold(string(options[0]), "slow") {
			asked, err = strconv.Atoi(string(options[1]))
		}
		if err != nil || asked < 0 || asked > maxSlow {
			c.fail("ERR SSE.CONNECTIONS %.64q: want SLOW and a number, 0 to %d", options, maxSlow)
			return
		}
		n = asked
	}
	var text []byte
	if list := c.server.cfg.SlowReaders; list != nil {
		var err error
		if text, err = list(nil, n); err != nil {
			c.fail("ERR %.512v", err)
			return
		}
	}
	c.out = resp.AppendBulk(c.out, text)
}
