package nats

import (
	"testing"

	"millrace/internal/backplane/enginetest"
)

// Ensure that upgrades of a node pass without a gap where JetStream keeps the history, and
// that streams are told of a gap without it, since servers have no order for all.
func TestUpgrades(t *testing.T) {
	for _, tt := range []struct {
		name, query string
		gaps        bool
	}{
		{"Plain", "", true},
		{"JetStream", "?history=jetstream", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address := startServer(t, 0, t.TempDir()).ClientURL() + tt.query
			enginetest.Upgrades(t, tt.gaps, address, startForUpgrades)
			t.Run("Cut", func(t *testing.T) { enginetest.UpgradesCut(t, tt.gaps, address, startForUpgrades) })
		})
	}
}

func startForUpgrades(t *testing.T, address string) *enginetest.Local {
	return startNode(t, address, Options{History: 100_000})
}
