package server

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"millrace/channels"
	"millrace/httpparse"
	"millrace/internal/auth"
	"millrace/internal/dialect"
	"millrace/internal/handshake"
	"millrace/internal/limits"
	"millrace/internal/pattern"
	"millrace/internal/ports"
)

// ErrConfig is wrapped by every refusal of a Config.
var ErrConfig = errors.New("bad configuration")

// Rate is a number of events in a period; the zero Rate is no limit.
type Rate = limits.Rate

// ParseRate reads "100" or "100/s", "30/m", "500/h", "100/10s", or "0".
func ParseRate(text string) (Rate, error) { return limits.ParseRate(text) }

// Config configures a Server. Zero durations switch their feature off, other zero
// fields mean the defaults.
type Config struct {
	// Listen is the TCP address of the public port; port 0 picks a free one. It may be
	// empty if TLSListen is not.
	Listen string
	// TLSListen is that of the public port for TLS, empty for none. TLS makes its
	// handshakes then, of which TLSHandshakes may be under way; 0 is
	// DefaultTLSHandshakes.
	TLSListen     string
	TLS           *handshake.Server
	TLSHandshakes int
	// CertificateOf returns the number of the certificate that a name selects: the same for
	// names that have the same one. A request on a connection whose client has asked for
	// another's is told to ask elsewhere; nil: none is. Safe for concurrent use.
	CertificateOf func(name string) int32
	// CertificateName returns a name for which CertificateOf returns number, so that a process
	// that takes over knows the certificate of a connection, too. Safe for concurrent use.
	CertificateName func(number int32) string
	// Loops is the number of event loops; 0 is one a core, or as many as it
	// takes where each has a descriptor table.
	Loops int
	// MaxConnections is how many event streams may be open at once; 0 is as many as
	// the descriptor limit allows, less a reserve.
	MaxConnections int
	// MaxConnectionsPerIP is how many connections one client address may have,
	// an IPv6 network of 64 bits counting as one; 0 is any number.
	MaxConnectionsPerIP int
	// MaxConnectionsPerUser is how many streams one user may have, as verdicts name users; 0
	// is any number. A stream above it is told to come back later.
	MaxConnectionsPerUser int
	// MaxChannels is how many channels streams may be on, all together; 0 is four times
	// MaxConnections. A stream above it is told to come back later.
	MaxChannels int
	// MaxChannelsPerStream is how many channels one stream may have; 0 is
	// DefaultMaxChannelsPerStream.
	MaxChannelsPerStream int
	// MaxStreamsPerConnection is how many streams one connection of HTTP/2 may have; 0 is
	// DefaultMaxStreamsPerConnection.
	MaxStreamsPerConnection int
	// AcceptRate bounds new connections, AcceptRatePerIP those of one client
	// address. A stream request above a bound is told to come back later.
	AcceptRate, AcceptRatePerIP Rate
	// ProxyProtocol says that every connection comes from one of TrustedProxies
	// and begins with a PROXY header, which names the client. Without it, an Authorizer
	// gets to see what TrustedProxies say of clients in X-Forwarded-Proto, -Host and -For.
	ProxyProtocol  bool
	TrustedProxies []netip.Prefix
	// FDTables says how loops hold their descriptors; "" is FDTablesAuto.
	FDTables FDTables
	// Keepalive is the time between two pings of a silent stream, in whole ticks
	// of 10 ms. No silence is longer.
	Keepalive time.Duration
	// HeaderTimeout bounds the time from accept to a complete request head.
	HeaderTimeout time.Duration
	// SlowTimeout is how long a stream that is behind may take nothing, or less than
	// 4 KiB a second.
	SlowTimeout time.Duration
	// MaxLifetime closes a stream of that age, less up to a tenth, drawn for each.
	MaxLifetime time.Duration
	// Drain is how long Drain takes to close the streams.
	Drain time.Duration
	// Retry is the reconnection delay told to clients, 0 for none.
	Retry time.Duration
	// AllowOrigins are the origins whose pages may read answers: exact,
	// https://*.example.org for all subdomains, or "*" for all, which does not
	// include credentials.
	AllowOrigins []string
	// Hosts are the names that requests may be addressed to, exact or
	// *.example.org for all subdomains; none for any name.
	Hosts []string
	// Aliases maps paths to the channels they stand for.
	Aliases map[string]string
	// Channels are those that clients may open, none for all. Those that engines and
	// frameworks keep for themselves can never be opened.
	Channels pattern.List
	// Gzip are the channels whose streams have the content coding gzip if their clients
	// want it; none by default. Streams on several channels have none.
	Gzip pattern.List
	// Dialects are the ways to ask for a stream beside the plain one, by which a path is
	// a channel.
	Dialects []dialect.Dialect
	// Authorizer decides which streams may be opened; nil for all.
	Authorizer auth.Authorizer
	// Head bounds a request head.
	Head httpparse.Limits
	// Successor makes the server another process's successor; nil for one of its own. Loops
	// is the number of that one's loops then.
	Successor *Takeover
	// LogConnections logs every stream's begin and end.
	LogConnections bool
	// Logger is the server's; nil is slog.Default(). Loops log, so it must not wait, nor
	// use a descriptor: see internal/logs.
	Logger *slog.Logger
}

// check completes cfg with the defaults and reports the first invalid field.
func (cfg *Config) check() error {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Loops < 0 || cfg.Loops > maxLoops {
		return fmt.Errorf("%w: %d loops, want 1 to %d", ErrConfig, cfg.Loops, maxLoops)
	}
	if cfg.MaxConnections < 0 {
		return fmt.Errorf("%w: at most %d connections, want 1 or more, or 0 for what the limits allow", ErrConfig, cfg.MaxConnections)
	}
	if cfg.MaxConnectionsPerIP < 0 || cfg.MaxConnectionsPerIP > math.MaxInt32 {
		return fmt.Errorf("%w: at most %d connections of one address, want 1 to %d, or 0 for any number", ErrConfig, cfg.MaxConnectionsPerIP, math.MaxInt32)
	}
	if cfg.MaxConnectionsPerUser < 0 || cfg.MaxConnectionsPerUser > math.MaxInt32 {
		return fmt.Errorf("%w: at most %d connections of one user, want 1 to %d, or 0 for any number", ErrConfig, cfg.MaxConnectionsPerUser, math.MaxInt32)
	}
	if cfg.MaxChannels < 0 {
		return fmt.Errorf("%w: at most %d channels, want 1 or more, or 0 for four times the connections", ErrConfig, cfg.MaxChannels)
	}
	if cfg.MaxChannelsPerStream == 0 {
		cfg.MaxChannelsPerStream = DefaultMaxChannelsPerStream
	}
	if cfg.MaxChannelsPerStream < 1 || cfg.MaxChannelsPerStream > mostChannelsPerStream {
		return fmt.Errorf("%w: at most %d channels in one stream, want 1 to %d", ErrConfig, cfg.MaxChannelsPerStream, mostChannelsPerStream)
	}
	if cfg.MaxStreamsPerConnection == 0 {
		cfg.MaxStreamsPerConnection = DefaultMaxStreamsPerConnection
	}
	if cfg.MaxStreamsPerConnection < 1 || cfg.MaxStreamsPerConnection > mostStreamsPerConnection {
		return fmt.Errorf("%w: at most %d streams of one connection, want 1 to %d", ErrConfig, cfg.MaxStreamsPerConnection, mostStreamsPerConnection)
	}
	for _, r := range []Rate{cfg.AcceptRate, cfg.AcceptRatePerIP} {
		if err := r.Check(); err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	if err := cfg.checkProxies(); err != nil {
		return err
	}
	if err := cfg.checkListeners(); err != nil {
		return err
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"keepalive", cfg.Keepalive}, {"header timeout", cfg.HeaderTimeout}, {"slow timeout", cfg.SlowTimeout},
		{"maximum lifetime", cfg.MaxLifetime}, {"drain", cfg.Drain}, {"retry", cfg.Retry},
	} {
		if d.d < 0 || d.d > 0 && d.d < tick || d.d > maxDuration {
			return fmt.Errorf("%w: %s of %v, want 0 (off) or %v to %v", ErrConfig, d.name, d.d, tick, maxDuration)
		}
	}
	cfg.Keepalive = cfg.Keepalive.Truncate(tick) // or phases would move
	for _, origin := range cfg.AllowOrigins {
		if err := checkOrigin(origin); err != nil {
			return err
		}
	}
	for _, host := range cfg.Hosts {
		if err := checkHost(host); err != nil {
			return err
		}
	}
	for path, channel := range cfg.Aliases {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("%w: alias %q=%q, want a path that begins with /", ErrConfig, path, channel)
		}
		if path == healthPath || slices.ContainsFunc(cfg.Dialects, func(d dialect.Dialect) bool { return d.Speaks(path) }) {
			return fmt.Errorf("%w: alias %q=%q: the path is reserved", ErrConfig, path, channel)
		}
		if err := channels.CheckName([]byte(channel)); err != nil {
			return fmt.Errorf("%w: alias %q=%q: %w", ErrConfig, path, channel, err)
		}
		if err := cfg.checkChannel(channel); err != nil {
			return fmt.Errorf("%w: alias %q=%q: %w", ErrConfig, path, channel, err)
		}
	}
	return nil
}

// checkProxies reports invalid settings of proxies.
func (cfg *Config) checkProxies() error {
	if cfg.ProxyProtocol && len(cfg.TrustedProxies) == 0 {
		return fmt.Errorf("%w: the PROXY protocol without trusted proxies: name them, or anybody could claim any address", ErrConfig)
	}
	if !cfg.ProxyProtocol && len(cfg.TrustedProxies) > 0 && cfg.Authorizer == nil {
		return fmt.Errorf("%w: trusted proxies without the PROXY protocol, and anybody may listen: nothing depends on what they say", ErrConfig)
	}
	for _, prefix := range cfg.TrustedProxies {
		if !prefix.IsValid() || prefix.Addr().Is4In6() {
			return fmt.Errorf("%w: trusted proxy %v, want a network such as 10.0.0.0/8 or 2001:db8::/32", ErrConfig, prefix)
		}
	}
	return nil
}

// DefaultTLSHandshakes is how many TLS handshakes may be under way, unless Config says
// otherwise: one that waits for its client holds some 25 KB.
const DefaultTLSHandshakes = 4096

// checkListeners reports what cannot be listened on.
func (cfg *Config) checkListeners() error {
	if cfg.Listen == "" && cfg.TLSListen == "" {
		return fmt.Errorf("%w: nothing to listen on: want an address for plain HTTP, for TLS, or both", ErrConfig)
	}
	if (cfg.TLSListen != "") != (cfg.TLS != nil) {
		return fmt.Errorf("%w: listen for TLS on %q: want an address and certificates, or neither", ErrConfig, cfg.TLSListen)
	}
	if cfg.TLSHandshakes == 0 {
		cfg.TLSHandshakes = DefaultTLSHandshakes
	}
	if cfg.TLSHandshakes < 1 {
		return fmt.Errorf("%w: at most %d TLS handshakes, want 1 or more", ErrConfig, cfg.TLSHandshakes)
	}
	for _, l := range []struct{ name, addr string }{{"listen", cfg.Listen}, {"listen for TLS", cfg.TLSListen}} {
		if l.addr == "" {
			continue
		}
		if err := ports.CheckAddress(l.addr); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrConfig, l.name, err)
		}
	}
	return nil
}

// maxDuration is the longest that a duration of Config may be.
const maxDuration = 365 * 24 * time.Hour
