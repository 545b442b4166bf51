package postgres

import (
	"testing"

	"millrace/internal/backplane/enginetest"
	"millrace/internal/testenv"
)

// Upgrades of a node pass without a gap: notifications have one order, and the place in a table
// goes to the next process.
func testUpgrades(t *testing.T, p *testenv.Postgres) {
	conn := connect(t, p)
	for _, tt := range []struct {
		name, address string
		gaps          bool // when the connection is lost
	}{
		{"Notifications", p.URL() + "?", true},
		{"Table", p.URL() + tableQuery + "&", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			enginetest.Upgrades(t, false, tt.address, startForUpgrades)
		})
		t.Run(tt.name+"Cut", func(t *testing.T) {
			here, there := startForUpgrades(t, tt.address+"application_name=here"), startForUpgrades(t, tt.address)
			enginetest.UpgradesOf(t, tt.gaps, here, there, func() {
				query(t, conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'here'")
			})
		})
	}
}

func startForUpgrades(t *testing.T, address string) *enginetest.Local {
	return startLocal(t, address, Options{})
}
