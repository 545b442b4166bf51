package node

import (
	"strings"
	"testing"

	"millrace/internal/handover"
)

// Ensure that a frame which comes before what it needs, or that needs what this node does not
// have, is an error.
func TestFramesOutOfPlace(t *testing.T) {
	early, err := prepare(Options{})
	if err != nil {
		t.Fatal(err)
	}
	alone := startNode(t, Options{})
	ports := startNode(t, Options{Admin: AdminPort{Listen: "127.0.0.1:0"}, Ops: OpsPort{Listen: "127.0.0.1:0"}})
	for _, tt := range []struct {
		name string
		s    *successor
		not  []handover.Kind
	}{
		{"nothing has come", &successor{Node: early}, []handover.Kind{
			handover.KindBeside, handover.KindRelay, handover.KindControl, handover.KindSettle, handover.KindEngine,
			handover.KindSwitch, handover.KindOps, handover.KindAdmin, handover.KindAdminRest, handover.KindBye,
		}},
		{"it is on its own and has no ports", &successor{Node: alone, loaded: true}, []handover.Kind{
			handover.KindClock, handover.KindListener, handover.KindSettle, handover.KindOps, handover.KindAdmin,
			handover.KindAdminRest, handover.KindBye,
		}},
		{"it has all", &successor{Node: ports, loaded: true, order: new(handover.Switch)}, []handover.Kind{
			handover.KindClock, handover.KindListener, handover.KindSettle, handover.KindSwitch, handover.KindBye,
		}},
	} {
		tt.s.exchange = &exchange{version: handover.Version}
		for _, kind := range tt.not {
			err := tt.s.take(handover.Frame{Kind: kind, Payload: make([]byte, 100)})
			if err == nil || !strings.Contains(err.Error(), "not now") {
				t.Errorf("%s: %s gives %v, want an error", tt.name, kind, err)
			}
		}
	}
}
