package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"millrace/internal/doctor"
	"millrace/internal/logs"
	"millrace/server"
)

// logPatience is how long who reads the log may take for its last lines.
const logPatience = time.Second

// serveCommand is the server.
type serveCommand struct {
	Listen         address  `group:"Public port" default:"${listen}" placeholder:"HOST:PORT" help:"Address for event streams; port 0 picks a free one. [${default}]"`
	Alias          []string `group:"Public port" placeholder:"PATH=CHANNEL" help:"Channel that a path stands for; repeatable. [none: a path is its channel]"`
	ProxyProtocol  bool     `group:"Public port" help:"Every connection begins with a PROXY header, version 1 or 2, which names the client. [off]"`
	TrustedProxies []string `group:"Public port" placeholder:"NETWORK" help:"Proxies that may connect with --proxy-protocol, such as 10.0.0.0/8 or 192.0.2.1; repeatable. [none]"`
	Host           []string `group:"Public port" placeholder:"NAME" help:"Host name that requests may be addressed to, such as events.example.org or *.example.org; repeatable. /healthz is answered to any. [any name]"`
	Channel        []string `group:"Public port" placeholder:"PATTERN" help:"Channels that clients may have: a name, a beginning with * after it, or {name} for one segment, as in /rooms/{id}; repeatable. [all]"`
	AllowOrigin    []string `group:"Public port" placeholder:"ORIGIN" help:"Origin whose pages may read streams, such as https://example.org, https://*.example.org for all subdomains, or * for all; repeatable. [none]"`

	Admin               portAddress `group:"Admin port" default:"127.0.0.1:7379" placeholder:"HOST:PORT" help:"Address for publishers, in the Redis protocol; off for none. [${default}]"`
	AdminPassword       secret      `group:"Admin port" placeholder:"TEXT" help:"Password of publishers, required unless the address is a loopback one. Others see a command line: set the variable. [none]"`
	AdminPasswordFile   secretFile  `group:"Admin port" placeholder:"FILE" help:"File that has it; read again on SIGHUP. [none]"`
	MaxAdminConnections int         `group:"Admin port" default:"256" min:"1" max:"65536" placeholder:"N" help:"Connections of the admin port; a quarter of them may be without the password yet. [${default}]"`

	Ops          portAddress `group:"Ops port" default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Address for health, metrics, the dashboard and publishing by HTTP; off for none. [${default}]"`
	OpsToken     secret      `group:"Ops port" placeholder:"TEXT" help:"Token that requests must bear, required unless the address is a loopback one. Others see a command line: set the variable. [none]"`
	OpsTokenFile secretFile  `group:"Ops port" placeholder:"FILE" help:"File that has it; read again on SIGHUP. [none]"`

	Backplane     secret     `group:"Several nodes" placeholder:"URL" help:"What links this node with others, such as redis://127.0.0.1:6379. Others see a command line: set the variable if there is a password. [none]"`
	BackplaneFile secretFile `group:"Several nodes" placeholder:"FILE" help:"File that has it. [none]"`
	ChannelPrefix string     `group:"Several nodes" placeholder:"TEXT" help:"What stands before channel names on the backplane, with a colon between: channel_prefix of Rails' cable.yml. [none]"`

	Decode                 []string   `group:"Rails" placeholder:"PATTERN=FORM" help:"What the payloads of the channels that fit a pattern are: raw text, json-string, turbo for a JSON string of HTML with a <turbo-stream>, base64 for any bytes that streams get as base64, or none for any bytes and no streams; repeatable, the first that fits counts. [raw]"`
	TurboKey               secret     `group:"Rails" placeholder:"TEXT" help:"Key of the signed stream names that /turbo?signed_stream_name= takes (config.turbo.signed_stream_verifier_key). Others see a command line: set the variable. [none]"`
	TurboKeyFile           secretFile `group:"Rails" placeholder:"FILE" help:"File that has it; read again on SIGHUP. [none]"`
	TurboSecretKeyBase     secret     `group:"Rails" placeholder:"TEXT" help:"The secret_key_base from which Rails derives that key. Others see a command line: set the variable. [none]"`
	TurboSecretKeyBaseFile secretFile `group:"Rails" placeholder:"FILE" help:"File that has it; read again on SIGHUP. [none]"`

	Keepalive    time.Duration `group:"Streams" default:"15s" placeholder:"TIME" help:"Time between two pings of a stream; 0 for no pings. [${default}]"`
	History      int           `group:"Streams" default:"128" min:"0" placeholder:"N" help:"Messages that a channel keeps; with 0, events have no id. [${default}]"`
	HistoryBytes size          `group:"Streams" default:"256MiB" min:"1KiB" placeholder:"SIZE" help:"Memory for the messages that all channels keep. [${default}]"`
	HistoryTTL   time.Duration `group:"Streams" name:"history-ttl" default:"5m" placeholder:"TIME" help:"How long a message is kept at most; 0 for as long as there is room. [${default}]"`
	SlowTimeout  time.Duration `group:"Streams" default:"30s" placeholder:"TIME" help:"How long a stream may be behind; 0 for ever. [${default}]"`
	Drain        time.Duration `group:"Streams" default:"30s" placeholder:"TIME" help:"Time over which streams are closed when the server is told to end; 0 for all at once. [${default}]"`
	DrainDelay   time.Duration `group:"Streams" default:"0s" min:"0s" max:"8760h" placeholder:"TIME" help:"Time before that, for balancers to notice: /readyz says no while everything else goes on. [${default}]"`
	MaxLifetime  time.Duration `group:"Streams" default:"0s" placeholder:"TIME" help:"Age at which a stream is closed, less up to a tenth; 0 for never. [${default}]"`
	Retry        time.Duration `group:"Streams" default:"0s" placeholder:"TIME" help:"Reconnection delay told to clients; 0 leaves it to them. [${default}]"`

	MaxConnections       int             `group:"Limits" default:"0" min:"0" placeholder:"N" help:"Open streams; 0 for what the descriptor limit allows. [${default}]"`
	MaxConnectionsPerIP  int             `group:"Limits" name:"max-connections-per-ip" default:"0" min:"0" max:"2147483647" placeholder:"N" help:"Open connections of one client address, an IPv6 /64 counting as one; 0 for any number. [${default}]"`
	MaxChannels          int             `group:"Limits" default:"0" min:"0" placeholder:"N" help:"Channels that streams may be on, all together; streams above it are told to come back; 0 for four times the connections. [${default}]"`
	MaxChannelsPerStream int             `group:"Limits" default:"64" min:"1" max:"1024" placeholder:"N" help:"Channels of one stream. [${default}]"`
	AcceptRate           server.Rate     `group:"Limits" default:"0" placeholder:"RATE" help:"New connections in a time, such as 1000/s; streams above it are told to come back; 0 for any number. [${default}]"`
	AcceptRatePerIP      server.Rate     `group:"Limits" name:"accept-rate-per-ip" default:"0" placeholder:"RATE" help:"The same for one client address, such as 30/m or 100/10s. [${default}]"`
	Loops                int             `group:"Limits" default:"0" min:"0" max:"1024" placeholder:"N" help:"Event loops; 0 for one a core. [${default}]"`
	FDTables             server.FDTables `group:"Limits" name:"fd-tables" default:"auto" placeholder:"KIND" help:"Descriptor tables: shared, per-loop (Linux), or auto for per-loop when one is too small. [${default}]"`
	MaxEventBytes        size            `group:"Limits" default:"60KiB" min:"1KiB" max:"16MiB" placeholder:"SIZE" help:"Data and type of one event, and also what becomes of it in a stream. [${default}]"`
	HeaderTimeout        time.Duration   `group:"Limits" default:"10s" placeholder:"TIME" help:"Time for a request head to arrive; 0 for ever. [${default}]"`
	MaxHeadBytes         size            `group:"Limits" default:"16KiB" min:"64B" max:"1MiB" placeholder:"SIZE" help:"Size of a request head. [${default}]"`
	MaxHeaders           int             `group:"Limits" default:"64" min:"1" max:"64" placeholder:"N" help:"Header lines of a request. [${default}]"`

	LogFormat      string     `group:"Logging" default:"text" enum:"text,json" placeholder:"FORMAT" help:"Form of the log on stderr: text or json. [${default}]"`
	LogLevel       slog.Level `group:"Logging" default:"info" placeholder:"LEVEL" help:"Least level that is logged: debug, info, warn or error. [${default}]"`
	LogConnections bool       `group:"Logging" help:"Log the beginning and the end of every stream. [off]"`
}

// Run serves until ctx is done or the server fails.
func (c *serveCommand) Run(ctx context.Context, w warnings) error {
	return c.serve(ctx, os.Stderr, w, nil)
}

// serve is Run with a place for the log and, unless it is nil, front, which opens
// what stands before the public port.
func (c *serveCommand) serve(ctx context.Context, stderr io.Writer, w warnings, front func(*node, *slog.Logger) (frontPort, error)) error {
	began := time.Now()
	// The log's reader may go before us. That is no reason to end.
	signal.Ignore(syscall.SIGPIPE)
	queue := logs.Open(stderr, c.logForm)
	defer queue.Close(logPatience)
	log := queue.Logger()
	slog.SetDefault(log) // for what libraries have to say
	for _, warning := range w {
		log.Warn(warning)
	}
	current, err := c.resolved()
	if err != nil {
		return err
	}
	n, err := current.open(queue)
	if err != nil {
		return err
	}
	if front != nil {
		if n.front, err = front(n, log); err != nil {
			n.close()
			return startError(err, "--listen")
		}
	}
	n.start()
	defer onHangup(func() { current = n.reload(c, current, log) })()
	c.logStart(log, n)
	forgetStartup()
	stopping := n.tellSystemd(log)

	select {
	case <-ctx.Done():
		log.Info("millrace is stopping, a second signal ends it at once", "why", context.Cause(ctx).Error())
	case err = <-n.public.Failed():
	}
	if err != nil {
		log.Error("millrace has failed and is stopping", "error", err)
		err = errReported
	}
	n.stopping.Store(true)
	stopping(c.stopTime())
	if err == nil {
		c.delayDrain(log)
		n.public.Drain() // publishers may go on meanwhile
	}
	n.close()
	stats := n.public.Stats()
	log.Info("millrace has stopped", "uptime", time.Since(began).Round(time.Millisecond).String(),
		"accepted", stats.Accepted, "deliveries", stats.Deliveries, "writes", stats.Writes,
		"bytes", stats.Bytes, "keepalives", stats.Pings)
	return err
}

// drainGrace is what the end takes beside the drain and its delay: for clients to take
// their last bytes.
const drainGrace = 2 * time.Second

// stopTime is how long it takes to end when told to.
func (c *serveCommand) stopTime() time.Duration { return c.DrainDelay + c.Drain + drainGrace }

// delayDrain waits for --drain-delay.
func (c *serveCommand) delayDrain(log *slog.Logger) {
	if c.DrainDelay > 0 {
		log.Info("balancers have time to notice, everything goes on meanwhile", "drain_delay", c.DrainDelay.String())
		time.Sleep(c.DrainDelay)
	}
}

// logStart says where the server can be reached and what it may hold.
func (c *serveCommand) logStart(log *slog.Logger, n *node) {
	public := n.public
	log.Info("millrace is ready", "public", n.publicAddr(), "admin", n.adminAddr(), "ops", n.opsAddr(),
		"loops", public.Loops(), "descriptor_limit", public.DescriptorLimit(), "fd_tables", string(public.FDTables()),
		"max_connections", public.MaxConnections(), "max_channels", public.MaxChannels(), "keepalive", c.Keepalive.String(), "history", c.History,
		"version", version())
	c.logVerdict(log, public)
}

// logVerdict says what this host holds, as `millrace doctor` does, and warns when
// that is less than --max-connections.
func (c *serveCommand) logVerdict(log *slog.Logger, public *server.Server) {
	tables, room, most := public.FDTables(), public.Room(), public.MaxConnections()
	r := doctor.Examine(doctor.Local(), doctor.Plan{Target: c.MaxConnections, PerLoop: tables == server.FDTablesPerLoop})
	switch {
	case !r.Enough:
		log.Warn(r.Verdict(), "max_connections", most, "remedy", fmt.Sprintf("see millrace doctor --for %d --fd-tables %s", most, tables))
	case room < most:
		log.Warn("the loops' descriptor tables have no room for --max-connections: accepting will pause before",
			"max_connections", most, "room", room, "loops", public.Loops(), "remedy", "--loops 0, for as many as it takes")
	default:
		log.Info(r.Verdict())
	}
}

// logForm returns the handler of --log-format and --log-level.
func (c *serveCommand) logForm(w io.Writer) slog.Handler {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}
