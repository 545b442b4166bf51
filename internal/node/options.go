package node

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"millrace/channels"
	"millrace/internal/acme"
	"millrace/internal/admin"
	"millrace/internal/certs"
	"millrace/internal/ops"
	"millrace/internal/ports"
	"millrace/internal/turbo"
	"millrace/server"
)

// Off is the address of a port that a node does not have.
const Off = "off"

// ErrOptions is wrapped by errors that other options would avoid. They name an option by
// its flag, such as --listen, since people set flags.
var ErrOptions = errors.New("usage")

// Options describe a node. They have its parts' own configurations; the node connects the
// parts, and each field says what the node fills in itself. The zero
// value, with an address for the public port, is a node on its own, with neither of the
// other ports and the defaults of each part.
type Options struct {
	// Public is the public port. The node sets Dialects, Authorizer and Logger.
	Public server.Config
	// Broker stands between the ports. The node sets Backplane, Numbered and what decodes.
	Broker channels.Options
	// Certificates are those of Public.TLSListen, Ops.TLS and Admin.TLS, the first for clients
	// that name no host.
	// The node sets Public.TLS by them.
	Certificates []certs.Files
	// ACME has the certificates that an authority issues, beside or in place of Certificates; without
	// domains there are none. The node sets Logger.
	ACME acme.Config
	// TicketKeys is the file of the keys of session tickets that nodes behind one name share;
	// empty: the node makes its own.
	TicketKeys string
	Admin      AdminPort
	Ops        OpsPort

	// Backplane is the URL of the engine that links this node with others; empty for a
	// node on its own. Channels have ChannelPrefix there, with a colon after it.
	Backplane, ChannelPrefix string
	// Forms are the payloads of channels, as turbo.ParseForms returns them.
	Forms turbo.Forms
	// TurboKey is the key of signed stream names, TurboSecretKeyBase that from which Rails
	// derives it. At most one is set; with neither there are no signed names.
	TurboKey, TurboSecretKeyBase string
	// Access says who may listen.
	Access Access

	// DrainDelay is the time between the begin of Drain, when Ready says no, and the end
	// of the first stream.
	DrainDelay time.Duration
	// Version is millrace's, for INFO and metrics.
	Version string
	// Logger is that of all parts; nil: nothing is logged. Loops log: it must not wait.
	Logger *slog.Logger
	// LogDropped returns how many lines Logger has dropped; nil: none.
	LogDropped func() int64
}

// AdminPort is the port for publishers.
type AdminPort struct {
	Listen         string // address; Off or empty: there is none
	Password       string // empty: none, for a loopback address
	TLS            bool   // with Options.Certificates
	MaxConnections int    // at a time; 0: admin.DefaultMaxClients
}

// OpsPort is the port for health, metrics and the dashboard.
type OpsPort struct {
	Listen string // address; Off or empty: there is none
	Token  string // empty: none, for a loopback address
	TLS    bool   // with Options.Certificates
}

// isOff tells whether listen is the address of no port.
func isOff(listen string) bool { return listen == "" || listen == Off }

// check reports what is wrong with the addresses of ports, of which it opens none.
func (o *Options) check() error {
	if !isOff(o.Admin.Listen) {
		if err := admin.Check(o.Admin.Listen, admin.Config{Password: o.Admin.Password}); err != nil {
			return PortError(err, "--admin")
		}
	}
	if !isOff(o.Ops.Listen) {
		if err := ops.Check(o.Ops.Listen, o.Ops.Token); err != nil {
			return PortError(err, "--ops")
		}
	}
	return nil
}

// flagOf returns the flag of the public port's address that err, of opening it, is about.
func (o *Options) flagOf(err error) string {
	if e := (*server.ListenError)(nil); errors.As(err, &e) && e.Addr == o.Public.TLSListen {
		return "--tls-listen"
	}
	return "--listen"
}

// PortError says what to do about err, which opening the address of a flag has returned.
func PortError(err error, flag string) error {
	switch {
	case errors.Is(err, server.ErrConfig):
		return fmt.Errorf("%w: %w", ErrOptions, err)
	case errors.Is(err, ports.ErrAddress), errors.Is(err, admin.ErrNoPassword), errors.Is(err, ops.ErrNoToken):
		return fmt.Errorf("%w: %s: %w", ErrOptions, flag, err)
	case server.IsInUse(err):
		return fmt.Errorf("%w: end what has the port, or choose another with %s HOST:PORT", err, flag)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: a port below 1024 takes the capability CAP_NET_BIND_SERVICE, which deploy/millrace-443.conf gives to a unit, or choose another with %s HOST:PORT", err, flag)
	}
	return err
}

// places are how many connections the ports beside the public one may have.
type places struct{ admin, ops int }

// portPlaces are within what the public port leaves of the descriptors. A quarter of
// that remains for engines, files and the loops' own.
func (o *Options) portPlaces() places {
	limit := server.DescriptorLimit()
	spare := server.Spare(limit)
	asked := o.Admin.MaxConnections
	if asked == 0 {
		asked = admin.DefaultMaxClients
	}
	p := places{admin: min(asked, spare/2), ops: min(ops.DefaultMaxConnections, spare/4)}
	if p.admin < asked {
		o.Logger.Warn("the descriptor limit has no room for --max-admin-connections: the admin port takes fewer",
			"max_admin_connections", asked, "takes", p.admin, "descriptor_limit", limit, "remedy", "raise ulimit -n")
	}
	return p
}
