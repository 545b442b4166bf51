package admin

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"millrace/channels"
	"millrace/internal/ports"
	"millrace/internal/resp"
)

// Stats are the figures of the port. Those that count do so since this process has it.
type Stats struct {
	Connections, MaxConnections int
	Rejected                    int64 // connections for which there was no room
	Displaced                   int64 // connections without the password that were ended for newer ones
	Dropped                     int64 // clients that were ended because they did not read
	Ended                       int64 // connections that upgrades have ended, since they could not be handed over
	WrongPasswords              int64
	Unread                      int64           // bytes that wait for clients
	TLS                         *ports.TLSStats // nil: the port is in the clear
}

// Stats returns the figures as they are now.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := &s.coming.before
	return Stats{
		Connections: len(s.conns), MaxConnections: s.cfg.MaxClients,
		Rejected: s.rejected.Load() - before.Rejected, Displaced: s.displaced.Load() - before.Displaced,
		Dropped: s.dropped.Load() - before.Dropped, Ended: s.ended.Load() - before.Ended,
		WrongPasswords: s.guesses.Count() - before.WrongPasswords, Unread: s.unsent.Load(),
		TLS: s.cfg.TLS.Stats(),
	}
}

// figure is a line of INFO.
type figure struct {
	name  string
	value any
}

// infoSections are the sections of INFO, in order: first those that clients of Redis look
// into, then the figures of the node, which /metrics of the ops port has too. A section
// without figures is left out.
var infoSections = []struct {
	name    string
	figures func(*Server) []figure
}{
	{"Server", serverFigures},
	{"Clients", clientFigures},
	{"Persistence", func(*Server) []figure { return []figure{{"loading", 0}} }},
	{"Stats", portFigures},
	{"Replication", func(*Server) []figure { return []figure{{"role", "master"}, {"connected_slaves", 0}} }},
	{"Millrace", streamFigures},
	{"Channels", channelFigures},
	{"Engine", engineFigures},
	{"Ops", opsFigures},
	{"Upgrades", upgradeFigures},
	{"Latency", latencyFigures},
}

// info answers INFO [section ...].
func (c *conn) info(args [][]byte) {
	var asked []string
	for _, arg := range args[1:] {
		asked = append(asked, strings.ToLower(string(arg)))
	}
	whole := len(asked) == 0 || slices.ContainsFunc(asked, func(name string) bool {
		return name == "default" || name == "all" || name == "everything"
	})
	var text []byte
	for _, section := range infoSections {
		if !whole && !slices.Contains(asked, strings.ToLower(section.name)) {
			continue
		}
		figures := section.figures(c.server)
		if len(figures) == 0 {
			continue
		}
		if len(text) > 0 {
			text = append(text, "\r\n"...)
		}
		text = fmt.Appendf(text, "# %s\r\n", section.name)
		for _, f := range figures {
			text = fmt.Appendf(text, "%s:%v\r\n", f.name, f.value)
		}
	}
	c.out = resp.AppendBulk(c.out, text)
}

func serverFigures(s *Server) []figure {
	port := 0
	if tcp, ok := s.ln.Addr().(*net.TCPAddr); ok {
		port = tcp.Port
	}
	return []figure{
		{"redis_version", redisVersion},
		{"redis_mode", "standalone"},
		{"millrace_version", s.cfg.Version},
		{"process_id", os.Getpid()},
		{"tcp_port", port},
		{"uptime_in_seconds", int(time.Since(s.started).Seconds())},
	}
}

func clientFigures(s *Server) []figure {
	return []figure{
		{"connected_clients", s.clients()},
		{"maxclients", s.cfg.MaxClients},
		{"pubsub_clients", s.subscribers.Load()},
		{"clients_idle_for_a_minute", s.idle(time.Minute)},
		{"clients_unread_bytes", s.unsent.Load()},
	}
}

// portFigures are those of the admin port by Redis' names, where it has one.
func portFigures(s *Server) []figure {
	return []figure{
		{"total_connections_received", s.accepted.Load()},
		{"rejected_connections", s.rejected.Load()},
		{"displaced_connections", s.displaced.Load()},
		{"wrong_passwords", s.guesses.Count()},
		{"total_commands_processed", s.commands.Load()},
		{"pubsub_patterns", s.cfg.Broker.Globs()},
		{"client_output_buffer_limit_disconnections", s.dropped.Load()},
		{"upgrade_disconnections", s.ended.Load()},
	}
}

func streamFigures(s *Server) []figure {
	if s.cfg.Streams == nil {
		return nil
	}
	n := s.cfg.Streams.Stats()
	eventsPerWrite := 0.0
	if n.Writes > 0 {
		eventsPerWrite = float64(n.Deliveries) / float64(n.Writes)
	}
	figures := []figure{
		{"connections", n.Connections},
		{"connections_closing", n.Lingering},
		{"connections_tls", n.Secure - n.H2},
		{"connections_h2", n.H2},
		{"streams", n.Streams},
		{"streams_h2", n.H2Streams},
		{"streams_behind", n.Behind},
		{"streams_opened", n.Opened},
		{"connections_accepted", n.Accepted},
		{"accept_pauses", n.AcceptPauses},
		{"requests_refused", n.Refused},
		{"deliveries", n.Deliveries},
		{"writes", n.Writes},
		{"events_per_write", fmt.Sprintf("%.2f", eventsPerWrite)},
		{"bytes_written", n.Bytes},
		{"keepalives", n.Pings},
		{"gzip_streams", n.Gzip},
		{"gzip_messages_compressed", n.Compressed},
		{"gzip_messages_stored", n.Stored},
		{"gzip_bytes_saved", int64(n.GzipText - n.GzipBytes)},
		{"log_lines_dropped", s.cfg.LogDropped()},
	}
	for _, reason := range slices.Sorted(maps.Keys(n.Closed)) {
		figures = append(figures, figure{"closed_" + strings.ReplaceAll(reason, " ", "_"), n.Closed[reason]})
	}
	return figures
}

func channelFigures(s *Server) []figure {
	b := s.cfg.Broker.Figures()
	figures := []figure{
		{"channels", b.Channels},
		{"channels_refused", b.Refused},
		{"events_published", s.cfg.Broker.Publishing().Published},
		{"messages", b.Messages},
		{"events_undecoded", b.Undecoded},
		{"gzip_fresh_dictionaries", b.Fresh},
		{"history_bytes", b.Kept},
		{"history_bytes_max", b.MaxKept},
	}
	for reason, count := range b.Gaps[1:] {
		figures = append(figures, figure{"gaps_" + channels.Gap(reason+1).String(), count})
	}
	return figures
}

// engineFigures are those of the engine between nodes, if there is one.
func engineFigures(s *Server) []figure {
	if s.cfg.Engine == nil {
		return []figure{{"engine", "none"}}
	}
	state, p := s.cfg.Engine(), s.cfg.Broker.Publishing()
	up := 0
	if state.Up {
		up = 1
	}
	return []figure{
		{"engine", state.Engine},
		{"engine_up", up},
		{"engine_since", state.Since.Unix()},
		{"engine_reconnects", max(0, state.Connects-1)},
		{"engine_publish_failures", p.Failed},
		{"engine_publish_usec", p.Times.Sum.Microseconds()},
	}
}

// opsFigures are those of the ops port, if there is one.
func opsFigures(s *Server) []figure {
	if s.cfg.Ops == nil {
		return []figure{{"ops", "off"}}
	}
	n := s.cfg.Ops()
	return []figure{
		{"ops_connections", n.Open},
		{"ops_connections_max", n.Most},
		{"ops_connections_displaced", n.Displaced},
		{"ops_requests_rejected", n.Rejected},
		{"ops_requests_refused", n.Refused},
		{"ops_wrong_tokens", n.WrongTokens},
		{"ops_streams", n.Streams},
	}
}

// upgradeFigures are those of upgrades since the service was started, and of the last one.
func upgradeFigures(s *Server) []figure {
	if s.cfg.Upgrades == nil {
		return nil
	}
	n := s.cfg.Upgrades()
	return []figure{
		{"upgrades_done", n.Done},
		{"upgrades_refused", n.Refused},
		{"upgrades_failed", n.Failed},
		{"upgrades_taken_back", n.TakenBack},
		{"upgrade_streams", n.Last.Streams},
		{"upgrade_ended", n.Last.Ended},
		{"upgrade_usec", n.Last.Took.Microseconds()},
		{"upgrade_pause_median_usec", n.Last.Median.Microseconds()},
		{"upgrade_pause_longest_usec", n.Last.Longest.Microseconds()},
		{"upgrade_pause_publishers_usec", n.Last.Publishers.Microseconds()},
	}
}

func latencyFigures(s *Server) []figure {
	if s.cfg.Streams == nil {
		return nil
	}
	n := s.cfg.Streams.Stats()
	return []figure{
		{"fanouts", n.Fanout.Count()},
		{"fanout_p50_usec", n.Fanout.Quantile(0.5).Microseconds()},
		{"fanout_p99_usec", n.Fanout.Quantile(0.99).Microseconds()},
		{"loop_turn_p50_usec", n.Step.Quantile(0.5).Microseconds()},
		{"loop_turn_p99_usec", n.Step.Quantile(0.99).Microseconds()},
	}
}
