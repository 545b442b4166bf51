package admin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Ensure that the events of a pipeline are handed to an engine together, and that
// everything else in a pipeline keeps its place.
func TestPublishInBatches(t *testing.T) {
	broker := &recorder{subscribers: map[string]int{"/a": 1, "/b": 2}, linked: true}
	s := serve(t, Config{Broker: broker})
	flood := strings.Repeat("PUBLISH /b x\r\n", maxBatch+1)
	for _, tt := range []struct {
		input, output string
		batches       []int
	}{
		{"PUBLISH /a 1\r\n", ":1\r\n", []int{1}},
		{"PUBLISH /a 1\r\nPUBLISH /b 2\r\nSSE.PUBLISH /a 3 RETRY 5\r\n", ":1\r\n:2\r\n:1\r\n", []int{3}},
		{"PUBLISH /a 1\r\nPING\r\nPUBLISH /b \"2\"\r\nPUBLISH /a {\"q\": 1}\r\n", ":1\r\n+PONG\r\n:2\r\n:1\r\n", []int{1, 2}},
		{"PUBLISH /a 1\r\nPUBLISH /a\r\nPUBLISH /b 2\r\n", ":1\r\n-ERR wrong number of arguments for 'publish' command\r\n:2\r\n", []int{1, 1}},
		{"PUBLISH /b 1\r\nNONSENSE\r\nPUBLISH /a 2\r\nQUIT\r\nPUBLISH /a 3\r\n",
			":2\r\n-ERR unknown command 'NONSENSE', with args beginning with: \r\n:1\r\n+OK\r\n", []int{1, 1}},
		{flood, strings.Repeat(":2\r\n", maxBatch+1), []int{maxBatch, 1}},
	} {
		broker.takeBatches()
		if got := ask(t, s, tt.input); got != tt.output {
			t.Errorf("%.200q is answered by %.200q, want %.200q", tt.input, got, tt.output)
		}
		if got := broker.takeBatches(); !slices.Equal(got, tt.batches) {
			t.Errorf("%.200q is published in batches of %d, want %d", tt.input, got, tt.batches)
		}
	}
	broker.take()
	ask(t, s, "*3\r\n$7\r\nPUBLISH\r\n$2\r\n/a\r\n$3\r\none\r\nSSE.PUBLISH /a \"t\\x77o\" EVENT e\r\nSSE.PUBLISH /a \"thr\\x65e\"\r\n")
	if got := fmt.Sprint(broker.take()); got != `[/a "one" /a "two" "e" 0s /a "three"]` {
		t.Errorf("published %s, want each event with its own data", got)
	}
}
