package ops

import (
	"github.com/prometheus/client_golang/prometheus"

	"millrace/internal/certs"
	"millrace/internal/ports"
	"millrace/server"
)

// The metrics of TLS.
var (
	tlsConnections  = desc("tls_connections", "Connections with TLS, after their handshake.")
	tlsHandshaking  = desc("tls_handshakes_under_way", "TLS handshakes under way.")
	tlsHandshakes   = desc("tls_handshakes_total", "TLS handshakes that have succeeded.")
	tlsFailures     = desc("tls_handshake_failures_total", "TLS handshakes that have failed, by reason.", "reason")
	certExpiry      = desc("tls_certificate_expiry_timestamp_seconds", "When a certificate in use expires.", "file")
	certReloadFails = desc("tls_certificate_reload_failures_total", "Times that a certificate could not be read again; the one before is used on.")
	ticketKeysFails = desc("tls_ticket_keys_reload_failures_total", "Times that the keys of session tickets could not be read again; those before are used on.")
)

// collectTLS is Collect of what there is only with TLS.
func collectTLS(n *server.Stats, store *certs.Store, keys *certs.TicketKeys, gauge, counter collect) {
	gauge(tlsConnections, float64(n.Secure))
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
}

// collectHandshakes is Collect of the handshakes of the ops port, or of the admin port.
func collectHandshakes(n *ports.TLSStats, handshakes, failures *prometheus.Desc, counter collect) {
	counter(handshakes, float64(n.Handshakes))
	for reason, times := range n.Failures {
		counter(failures, float64(times), reason)
	}
}
