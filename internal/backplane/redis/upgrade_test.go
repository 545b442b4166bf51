package redis

import (
	"testing"
	"time"

	"millrace/internal/backplane/enginetest"
)

// Ensure that upgrades of a node pass without a gap where there is one order of all messages,
// and that streams are told of a gap where there is none.
func TestUpgrades(t *testing.T) {
	for _, tt := range []struct {
		name    string
		address func(t *testing.T) string
		gaps    bool
	}{
		{"Plain", func(t *testing.T) string { return "redis://" + startProcess(t).address() }, false},
		{"Streams", func(t *testing.T) string { return "redis://" + startProcess(t).address() + "?history=streams" }, false},
		{"Sentinel", func(t *testing.T) string { return startReplicated(t).address() }, false},
		{"Cluster", startCluster, true},
		{"ClusterStreams", func(t *testing.T) string { return startCluster(t) + "&history=streams" }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address := tt.address(t)
			enginetest.Upgrades(t, tt.gaps, address, startForUpgrades)
		})
	}
}

// Ensure that upgrades in which connections to Redis are lost lose nothing where it keeps the
// history, and tell of it elsewhere.
func TestUpgradesCut(t *testing.T) {
	for _, tt := range []struct {
		name, query string
		gaps        bool
	}{{"Plain", "", true}, {"Streams", "?history=streams", false}} {
		t.Run(tt.name, func(t *testing.T) {
			enginetest.UpgradesCut(t, tt.gaps, "redis://"+startProcess(t).address()+tt.query, startForUpgrades)
		})
	}
}

func startForUpgrades(t *testing.T, address string) *enginetest.Local {
	return startLocal(t, address, Options{History: 100_000, HistoryTTL: time.Hour})
}
