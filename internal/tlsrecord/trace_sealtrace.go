//go:build sealtrace

package tlsrecord

import (
	"crypto/sha256"
	"fmt"
	"os"
)

// traced is where a build with the tag sealtrace notes each record that it seals: the file that
// the environment names, opened before any thread has a descriptor table of its own.
var traced = func() *os.File {
	name := os.Getenv("SEAL_TRACE")
	if name == "" {
		return nil
	}
	return must(os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600))
}()

// traceSeal notes a record before it can leave: see testenv.CheckSealed.
func (s *State) traceSeal(record []byte) {
	if traced == nil {
		return
	}
	secret, sum := sha256.Sum256(s.writeSecret[:s.suite.secretLen()]), sha256.Sum256(record)
	must(fmt.Fprintf(traced, "%x %d %x %d\n", secret[:16], s.writeSeq, sum[:16], os.Getpid()))
}
