package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/internal/acme"
	"millrace/internal/certs"
	"millrace/internal/ports"
	"millrace/server"
)

// The metrics of TLS.
var (
	byProtocol      = desc("connections_by_protocol", "Open connections by protocol: plain, tls (HTTP/1.1 over TLS, after the handshake), h2 (HTTP/2 over TLS).", "protocol")
	h2Streams       = desc("http2_streams", "Open event streams of HTTP/2.")
	h2Faults        = desc("http2_faults_total", "Times that clients have broken rules of HTTP/2, by what they were told.", "code")
	tlsHandshaking  = desc("tls_handshakes_under_way", "TLS handshakes under way.")
	tlsHandshakes   = desc("tls_handshakes_total", "TLS handshakes that have succeeded.")
	tlsFailures     = desc("tls_handshake_failures_total", "TLS handshakes that have failed, by reason.", "reason")
	certExpiry      = desc("tls_certificate_expiry_timestamp_seconds", "When a certificate in use expires.", "file")
	certReloadFails = desc("tls_certificate_reload_failures_total", "Times that a certificate could not be read again; the one before is used on.")
	acmeOrders      = desc("acme_orders_total", "Certificates ordered from the authority: first ones and renewals, by result.", "order", "result")
	acmeMissing     = desc("acme_domains_without_certificate", "Domains for which no certificate was issued yet: clients that ask for them are turned away.")
	ticketKeysFails = desc("tls_ticket_keys_reload_failures_total", "Times that the keys of session tickets could not be read again; those before are used on.")
)

// collectTLS is Collect of what there is only with TLS.
func collectTLS(n *server.Stats, store *certs.Store, issued *acme.Manager, keys *certs.TicketKeys, gauge, counter collect) {
	gauge(h2Streams, float64(n.H2Streams))
	for code, times := range n.H2Faults {
		counter(h2Faults, float64(times), code)
	}
	gauge(tlsHandshaking, float64(n.Handshaking))
	counter(tlsHandshakes, float64(n.Handshakes))
	for reason, times := range n.HandshakeFailures {
		counter(tlsFailures, float64(times), reason)
	}
	for _, c := range store.Certificates() {
		gauge(certExpiry, float64(c.Expiry.Unix()), c.Files.Cert)
	}
	counter(certReloadFails, float64(store.Failures()))
	if keys != nil {
		counter(ticketKeysFails, float64(keys.Failures()))
	}
	if issued != nil {
		i := issued.Stats()
		counter(acmeOrders, float64(i.FirstDone), "first", "done")
		counter(acmeOrders, float64(i.FirstFailed), "first", "failed")
		counter(acmeOrders, float64(i.RenewalDone), "renewal", "done")
		counter(acmeOrders, float64(i.RenewalFailed), "renewal", "failed")
		gauge(acmeMissing, float64(i.Missing))
	}
}

// tlsState is how the TLS of a node is, for the dashboard.
type tlsState struct {
	Protocols    []protocolState    `json:"protocols"`
	UnderWay     int64              `json:"underWay"` // handshakes
	Done         uint64             `json:"done"`
	Failed       map[string]uint64  `json:"failed"` // by reason, those that there were
	Certificates []certificateState `json:"certificates"`
	Missing      int                `json:"missing"` // domains without a certificate
}

// protocolState are the connections of a protocol.
type protocolState struct {
	Name string `json:"name"`
	Open int64  `json:"open"`
}

type certificateState struct {
	Names  []string  `json:"names"`
	File   string    `json:"file"`
	Expiry time.Time `json:"expiry"`
}

func (cfg *Config) tlsState(n *server.Stats) *tlsState {
	t := &tlsState{Protocols: protocols(n), UnderWay: n.Handshaking, Done: n.Handshakes, Failed: make(map[string]uint64)}
	for reason, times := range n.HandshakeFailures {
		if times > 0 {
			t.Failed[reason] = times
		}
	}
	for _, c := range cfg.Certificates.Certificates() {
		t.Certificates = append(t.Certificates, certificateState{c.Names, c.Files.Cert, c.Expiry})
	}
	if cfg.Issued != nil {
		t.Missing = cfg.Issued.Stats().Missing
	}
	return t
}

// protocols returns the open connections by protocol. One whose handshake is under way has
// none yet.
func protocols(n *server.Stats) []protocolState {
	return []protocolState{
		{"plain", n.Connections - n.Handshaking - n.Secure},
		{"tls", n.Secure - n.H2},
		{"h2", n.H2},
	}
}

// collectHandshakes is Collect of the handshakes of the ops port, or of the admin port.
func collectHandshakes(n *ports.TLSStats, handshakes, failures *prometheus.Desc, counter collect) {
	counter(handshakes, float64(n.Handshakes))
	for reason, times := range n.Failures {
		counter(failures, float64(times), reason)
	}
}
