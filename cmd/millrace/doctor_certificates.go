package main

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"millrace/internal/certs"
	"millrace/internal/doctor"
)

const (
	day = 24 * time.Hour
	// renewBefore is how long before its end a certificate should have been renewed: those
	// for 90 days are at 30.
	renewBefore = 21 * day
	// maxNames bounds the names of a certificate that are shown.
	maxNames = 4
)

// examineCertificates says how long the certificates of the server are valid, and whether the
// keys of its session tickets can be read. ok tells that none of them keeps clients away.
func (c *doctorCommand) examineCertificates(now time.Time) (settings []doctor.Setting, ok bool, err error) {
	files, err := pairs(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, false, err
	}
	ok = true
	for i, f := range files {
		s := doctor.Setting{Name: fmt.Sprintf("certificate %d", i+1)}
		if store, err := certs.Load(slog.New(slog.DiscardHandler), f); err != nil {
			s.Value, s.Note, ok = "unreadable", err.Error(), false
		} else {
			var valid bool
			has := store.Certificates()[0]
			s.Value, valid = validity(has, now)
			s.Note, ok = fmt.Sprintf("%s (%s)", someNames(has.Names), f.Cert)+exposure(f.Key), ok && valid
		}
		settings = append(settings, s)
	}
	if c.TLSTicketKeys != "" {
		s := doctor.Setting{Name: "keys of session tickets", Note: c.TLSTicketKeys}
		if keys, err := certs.ReadTicketKeys(c.TLSTicketKeys); err != nil {
			s.Value, s.Note, ok = "unreadable", err.Error(), false
		} else {
			s.Value = fmt.Sprint(len(keys))
			s.Note += exposure(c.TLSTicketKeys)
		}
		settings = append(settings, s)
	}
	return settings, ok, nil
}

// exposure is a warning if every user of the host can read a file of keys.
func exposure(file string) string {
	if certs.Exposed(file) {
		return "; every user of this host can read " + file + ": chmod o-r"
	}
	return ""
}

// validity says for how long clients take a certificate.
func validity(c certs.Certificate, now time.Time) (text string, valid bool) {
	left := c.Expiry.Sub(now)
	switch {
	case now.Before(c.Begin):
		return "valid from " + c.Begin.UTC().Format(time.DateOnly), false
	case left <= 0:
		return "expired " + c.Expiry.UTC().Format(time.DateOnly), false
	case left < renewBefore:
		return fmt.Sprintf("%d days left: renew it", left/day), true
	}
	return fmt.Sprintf("%d days left", left/day), true
}

// someNames lists the first of names.
func someNames(names []string) string {
	switch more := len(names) - maxNames; {
	case len(names) == 0:
		return "no name, so no client takes it"
	case more > 0:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNames], ", "), more)
	}
	return strings.Join(names, ", ")
}
