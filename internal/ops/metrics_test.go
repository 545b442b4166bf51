package ops

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"millrace/channels"
	"millrace/internal/admin"
	"millrace/internal/backplane/link"
	"millrace/server"
)

// Ensure that at rest every figure is exact.
func TestMetrics(t *testing.T) {
	state := link.State{Since: time.UnixMilli(1500), Connects: 3}
	n := start(t, Config{Version: "v1", Engine: func() link.State { return state }}, channels.Options{History: 2}, server.Config{Loops: 2, MaxConnections: 100})
	const streams, events = 5, 3
	for range streams {
		n.subscribe("/a")
	}
	response, err := n.client.Post("http://"+n.public.Addr().String()+"/a", "text/plain", nil)
	if err != nil || response.StatusCode != http.StatusMethodNotAllowed {
		t.Fatalf("POST to a channel: %v, %v, want 405", response, err)
	}
	response.Body.Close()
	for _, data := range []string{"x", "y", "z"} {
		n.want("POST", "/publish?channel=/a", data, 200, `"receivers":5}`)
	}
	n.want("POST", "/publish?channel=/b", "x", 200, "")
	n.broker.Feed().Deliver("/b", channels.Event{}) // of another node
	n.broker.Feed().Interrupted("/a")
	want := []string{
		`millrace_build_info{goversion="go`,
		fmt.Sprintf(`millrace_connections{state="stream"} %d`, streams),
		`millrace_ready 1`,
		`millrace_connections{state="behind"} 0`,
		`millrace_connections{state="closing"} 0`,
		`millrace_connections{state="head"} 0`,
		`millrace_connections_max 100`,
		fmt.Sprintf(`millrace_connections_accepted_total %d`, streams+1),
		`millrace_connections_closed_total{reason="answered"} 1`,
		`millrace_connections_closed_total{reason="slow_timeout"} 0`,
		fmt.Sprintf(`millrace_streams_opened_total %d`, streams),
		`millrace_requests_refused_total{status="405"} 1`,
		`millrace_requests_refused_total{status="404"} 0`,
		`millrace_accept_pauses_total 0`,
		fmt.Sprintf(`millrace_events_published_total %d`, events+1),
		fmt.Sprintf(`millrace_messages_total %d`, events+2),
		`millrace_gaps_total{reason="backplane"} 1`,
		`millrace_gaps_total{reason="evicted"} 0`,
		`millrace_engine_up 0`,
		`millrace_engine_since_timestamp_seconds 1.5`,
		`millrace_engine_reconnects_total 2`,
		`millrace_engine_publish_failures_total 0`,
		`millrace_engine_publish_seconds_bucket{le="8.388608"} 0`,
		`millrace_engine_publish_seconds_count 0`,
		`millrace_ops_connections 1`,
		`millrace_ops_connections_displaced_total 0`,
		`millrace_ops_wrong_tokens_total 0`,
		fmt.Sprintf(`millrace_deliveries_total %d`, streams*(events+1)), /* a gap each */
		`millrace_keepalives_total 0`,
		`millrace_gzip_streams 0`,
		`millrace_gzip_messages_total{form="stored"} 0`,
		`millrace_gzip_fresh_dictionaries_total 0`,
		`millrace_fanout_seconds_bucket{le="+Inf"} `,
		`millrace_loop_turn_seconds_bucket{le="0.001024"} `,
		`millrace_loop_busy_seconds_total{loop="1"} `,
		`millrace_loop_inbox_messages{loop="0"} 0`,
		`millrace_channels 2`,
		`millrace_history_bytes_max 2.68435456e+08`,
		"\ngo_goroutines ",
	}
	if _, err := os.Stat("/proc/net/sockstat"); err == nil {
		want = append(want, "millrace_tcp_mem_pages ", "millrace_tcp_mem_pages_max ", "millrace_listen_overflows_total ", "\nprocess_open_fds ")
	}
	var missing []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		_, text := n.ask("GET", "/metrics", "")
		missing = slices.DeleteFunc(slices.Clone(want), func(w string) bool { return strings.Contains(text, w) })
		if len(missing) == 0 {
			return
		}
	}
	t.Errorf("not in /metrics: %q", missing)
}

// Ensure that names, units and help are as Prometheus has them.
func TestMetricsLint(t *testing.T) {
	n := start(t, Config{
		Engine: func() link.State { return link.State{} },
		Admin:  func() admin.Stats { return admin.Stats{} },
	}, channels.Options{}, server.Config{Loops: 1})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(&collector{n.ops})
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
