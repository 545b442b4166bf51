package server

import (
	"testing"

	"millrace/internal/testenv"
)

// Ensure that a kernel that says it has no room for one more connection, for
// whatever reason and many times in a row, costs no connection: those open are
// served meanwhile, and those that wait get in afterwards.
func TestAcceptFails(t *testing.T) {
	strace := testenv.Need(t, "strace")
	for _, errno := range []string{"EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"} {
		t.Run(errno, func(t *testing.T) {
			t.Parallel()
			// Every thread's 20th to 30th accept fails.
			l := startLimited(t, 100_000, strace, "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null",
				"-e", "trace=accept4", "-e", "inject=accept4:error="+errno+":when=20..30")
			const clients = 150
			c := gather(t, l, clients)
			defer close(c.leave)
			testenv.Eventually(t, "accepting has failed", func() bool { return l.stats().AcceptPauses > 0 })
			var receivers, heard int64
			l.ask("publish first", &receivers)
			testenv.Eventually(t, "the streams that are open hear the news", func() bool { return c.heard.Load() >= receivers })
			testenv.Eventually(t, "everybody gets in", func() bool { return c.open.Load() == clients })
			heard = c.heard.Load()
			l.ask("publish second", &receivers)
			testenv.Eventually(t, "everybody hears the news", func() bool { return c.heard.Load() == heard+clients })
			stats := l.stats()
			if receivers != clients || stats.Streams != clients || stats.Accepted != clients || stats.AcceptPauses < 10 {
				t.Errorf("%d receivers; %d streams, %d accepted, %d pauses; want %d and at least 10 pauses",
					receivers, stats.Streams, stats.Accepted, stats.AcceptPauses, clients)
			}
		})
	}
}
