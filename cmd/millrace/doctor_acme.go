package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"millrace/internal/acme"
	"millrace/internal/certs"
	"millrace/internal/doctor"
	"millrace/internal/node"
)

// examineACME says what certificates by ACME need: a storage, a directory that answers, and
// names that lead to port 443 of this node. ok tells that nothing of this node's own keeps
// certificates away.
func (c *doctorCommand) examineACME(now time.Time) (settings []doctor.Setting, ok bool, err error) {
	if len(c.ACMEDomain) == 0 {
		return nil, true, nil
	}
	f := acmeFlags{ACMEDomain: c.ACMEDomain, ACMEDirectory: c.ACMEDirectory, ACMEStorage: c.ACMEStorage}
	var o node.Options
	if err := f.set(&o); err != nil {
		return nil, false, err
	}
	o.ACME.Logger = slog.New(slog.DiscardHandler)
	m, err := acme.New(o.ACME)
	if err != nil {
		return nil, false, fmt.Errorf("%w: --acme-%w", errUsage, err)
	}
	tell := func(name, value, note string) {
		settings = append(settings, doctor.Setting{Name: "ACME: " + name, Value: value, Note: note})
	}
	ok = true
	if err := o.ACME.CheckStorage(); err != nil {
		tell("storage", "not writable", err.Error())
		ok = false
	} else {
		tell("storage", "writable", o.ACME.Storage)
	}
	ctx, cancel := context.WithTimeout(context.Background(), enginePatience)
	defer cancel()
	if err := askDirectory(ctx, o.ACME.Directory); err != nil {
		tell("directory", "no answer", err.Error())
		ok = false
	} else {
		tell("directory", "answers", o.ACME.Directory)
	}
	for _, name := range c.ACMEDomain {
		value, note := port443(ctx, name)
		tell(name, value, note)
		switch leaf, err := m.Stored(name); {
		case err != nil:
			tell(name+", stored", "unreadable", err.Error())
			ok = false
		case leaf == nil:
			tell(name+", stored", "none yet", "it is ordered when millrace serves")
		default:
			text, _ := validity(certs.Describe(certs.Files{}, leaf), now)
			tell(name+", stored", text, "renewed when a third of its time is left")
		}
	}
	return settings, ok, nil
}

// askDirectory tells why an authority does not answer.
func askDirectory(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}

// port443 says where a name leads, and whether something listens there at the port that the
// authority connects to. From this host that may be another way than from the internet.
func port443(ctx context.Context, name string) (value, note string) {
	addrs, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return "no address", err.Error()
	}
	note = "leads to " + strings.Join(addrs[:min(len(addrs), maxNames)], ", ")
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(name, "443"))
	if err != nil {
		return "port 443 closed", note + "; the authority connects there, so it has to lead to --tls-listen: " + err.Error()
	}
	conn.Close()
	return "port 443 open", note
}
