package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"millrace/internal/doctor"
	"millrace/server"
)

// doctorCommand examines this host.
type doctorCommand struct {
	For           int             `env:"-" default:"0" min:"0" max:"1000000000" placeholder:"N" help:"Streams that the host is to hold: the exit status is 1 if it cannot, and fixes are for as many; 0 for a million as an example. [${default}]"`
	FDTables      server.FDTables `name:"fd-tables" default:"auto" enum:"auto,shared,per-loop" placeholder:"KIND" help:"Descriptor tables of the server: shared, per-loop (Linux), or auto for per-loop when one is too small for --for. [${default}]"`
	Loopback      bool            `env:"-" help:"The clients are on this host too, as those of a load generator: both ends of each stream count. [off]"`
	Host          []string        `placeholder:"NAME" help:"Host names that the server is to be addressed by, as for serve. [any name]"`
	Backplane     secret          `name:"backplane" placeholder:"URL" help:"Engine to try, as for serve: reach, version, permissions, and whether an event comes through it. [none]"`
	ChannelPrefix string          `name:"channel-prefix" placeholder:"PREFIX" help:"Prefix of channels at the engine, as for serve. [none]"`
	TLSCert       []string        `name:"tls-cert" placeholder:"FILE" help:"Certificates to examine, as for serve: names, days left. [none]"`
	TLSKey        []string        `name:"tls-key" placeholder:"FILE" help:"Keys of the certificates, as for serve. [none]"`
	TLSTicketKeys string          `name:"tls-ticket-keys" placeholder:"FILE" help:"File of keys for session tickets, as for serve. [none]"`
	ACMEDomain    []string        `name:"acme-domain" placeholder:"NAME" help:"Host names to get certificates for, as for serve: where they lead, and whether port 443 answers there. [none]"`
	ACMEDirectory string          `name:"acme-directory" default:"https://acme-v02.api.letsencrypt.org/directory" placeholder:"URL" help:"Directory of the authority, as for serve: whether it answers. [${default}]"`
	ACMEStorage   string          `name:"acme-storage" placeholder:"DIR" help:"Directory for certificates, as for serve: whether it can be written, and what is in it. [as for serve]"`
	JSON          bool            `name:"json" env:"-" help:"Print the report as JSON. [off]"`

	accessFlags `group:"Who may listen"`
}

// Run prints the report.
func (c *doctorCommand) Run(w warnings) error {
	w.print(os.Stderr)
	return c.report(os.Stdout, doctor.Local())
}

// report is Run with a place for the report, and the host that it is of.
func (c *doctorCommand) report(w io.Writer, h doctor.Host) error {
	r := doctor.Examine(h, doctor.Plan{
		Target:   c.For,
		PerLoop:  c.FDTables == server.FDTablesPerLoop || c.FDTables == server.FDTablesAuto && h.Tabled(c.For),
		Loopback: c.Loopback,
	})
	if len(c.Host) == 0 {
		r.Settings = append(r.Settings, doctor.Setting{
			Name: "millrace serve --host", Value: "any name", Note: "pages elsewhere may read streams by DNS rebinding",
		})
	}
	access, hasKeys, err := c.examineAccess()
	if err != nil {
		return err
	}
	r.Settings = append(r.Settings, access...)
	certificates, valid, err := c.examineCertificates(time.Now())
	if err != nil {
		return err
	}
	r.Settings = append(r.Settings, certificates...)
	issued, ready, err := c.examineACME(time.Now())
	if err != nil {
		return err
	}
	r.Settings = append(r.Settings, issued...)
	engineFails := false
	if c.Backplane != "" {
		settings, ok, err := c.examineEngine()
		if err != nil {
			return err
		}
		r.Settings, engineFails = append(r.Settings, settings...), !ok
	}
	write := r.WriteTable
	if c.JSON {
		write = func(w io.Writer) error {
			encoder := json.NewEncoder(w)
			encoder.SetIndent("", "  ")
			return encoder.Encode(r)
		}
	}
	if err := write(w); err != nil {
		return fmt.Errorf("the report cannot be written: %w", err)
	}
	if !r.Enough || engineFails || !hasKeys || !valid || !ready {
		return errReported // in the report
	}
	return nil
}
