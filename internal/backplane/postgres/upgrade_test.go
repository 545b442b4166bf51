package postgres

import (
	"testing"

	"millrace/internal/backplane/enginetest"
	"millrace/internal/testenv"
)

// Upgrades of a node pass without a gap: notifications have one order, and the place in a table
// goes to the next process.
func testUpgrades(t *testing.T, p *testenv.Postgres) {
	for _, tt := range []struct{ name, address string }{
		{"Notifications", p.URL()},
		{"Table", p.URL() + tableQuery},
	} {
		t.Run(tt.name, func(t *testing.T) {
			enginetest.Upgrades(t, false, func(t *testing.T) *enginetest.Local { return startLocal(t, tt.address, Options{}) })
		})
	}
}
