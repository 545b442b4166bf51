package jwt

import (
	"encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// BenchmarkOnLoop is the most that an event loop does for one token: the bound is 10 µs on
// a machine that does nothing else. Half of it, and more, is the signature.
func BenchmarkOnLoop(b *testing.B) {
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprintf("/rooms/%d/events", i))
	}
	large, _ := json.Marshal(map[string]any{
		"sub": "user-1", "exp": 1800000100, "iat": 1800000000, "channels": names,
		"mercure": map[string]any{"subscribe": []string{"/users/1/*"}},
	})
	set := keys(b, secret)
	for _, payload := range []string{`{"sub":"user-1","exp":1800000100,"channels":["/rooms/1"]}`, string(large)} {
		text := token(`{"alg":"HS256","typ":"JWT"}`, payload, secret)
		t, err := Parse(text)
		if err != nil || !t.IsCheap() {
			b.Fatal(t, err)
		}
		b.Run(fmt.Sprintf("%dB", len(text)), func(b *testing.B) {
			measure(b, func() bool { _, err := verify(set, text); return err == nil })
		})
		b.Run(fmt.Sprintf("%dB/Signature", len(text)), func(b *testing.B) {
			measure(b, func() bool { return set[0].verify(t.signed, t.signature) })
		})
	}
}

// measure has f done, which has to succeed, and reports the time of the processor too:
// others on the machine do not stretch it as much.
func measure(b *testing.B, f func() bool) {
	b.ReportAllocs()
	began := processorTime()
	for b.Loop() {
		if !f() {
			b.Fatal("it has failed")
		}
	}
	b.ReportMetric(float64((processorTime()-began).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
}

// processorTime is that of the process, which others on the machine do not stretch.
func processorTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
