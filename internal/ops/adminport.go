package ops

import "millrace/internal/admin"

// The metrics of the admin port, which are there if it is.
var (
	adminConnections    = desc("admin_connections", "Open connections of the admin port.")
	maxAdminConnections = desc("admin_connections_max", "The most that admin_connections may be.")
	adminRejected       = desc("admin_connections_rejected_total", "Connections turned away because the admin port was full.")
	adminDisplaced      = desc("admin_connections_displaced_total", "Connections that had not given the password, ended for newer ones.")
	adminDropped        = desc("admin_clients_dropped_total", "Clients of the admin port ended because they did not read.")
	adminEnded          = desc("admin_upgrade_disconnections_total", "Connections of the admin port that upgrades have ended: those with TLS, whose keys do not travel.")
	wrongPasswords      = desc("admin_wrong_passwords_total", "Wrong passwords given at the admin port.")
	adminUnread         = desc("admin_unread_bytes", "Replies and messages that wait for clients of the admin port.")
	adminHandshakes     = desc("admin_tls_handshakes_total", "TLS handshakes of the admin port that have succeeded.")
	adminTLSFailures    = desc("admin_tls_handshake_failures_total", "TLS handshakes of the admin port that have failed, by reason.", "reason")
)

func collectAdmin(n admin.Stats, gauge, counter collect) {
	gauge(adminConnections, float64(n.Connections))
	gauge(maxAdminConnections, float64(n.MaxConnections))
	counter(adminRejected, float64(n.Rejected))
	counter(adminDisplaced, float64(n.Displaced))
	counter(adminDropped, float64(n.Dropped))
	counter(adminEnded, float64(n.Ended))
	counter(wrongPasswords, float64(n.WrongPasswords))
	gauge(adminUnread, float64(n.Unread))
	if n.TLS != nil {
		collectHandshakes(n.TLS, adminHandshakes, adminTLSFailures, counter)
	}
}
