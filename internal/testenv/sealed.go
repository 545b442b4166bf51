package testenv

import (
	"bufio"
	"fmt"
	"os"
	"testing"
)

// SealTrace is the variable by which programs that are built with the tag sealtrace are told a
// file, to which they append each TLS record that they seal: the hash of its secret, its
// sequence number, the hash of its bytes, and the process.
const SealTrace = "SEAL_TRACE"

// CheckSealed wants no two records of a file that SealTrace has named to have a secret and a
// sequence number in common, and so a nonce, unless they have the same bytes. It returns how many
// records there are, by process.
func CheckSealed(t testing.TB, name string) (byProcess map[int]int) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	type nonce struct {
		secret string
		number uint64
	}
	type sealed struct {
		sum     string
		process int
	}
	byProcess = make(map[int]int)
	first := make(map[nonce]sealed)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var n nonce
		var s sealed
		if _, err := fmt.Sscanf(lines.Text(), "%s %d %s %d", &n.secret, &n.number, &s.sum, &s.process); err != nil {
			t.Fatalf("%q is no sealed record: %v", lines.Text(), err)
		}
		byProcess[s.process]++
		before, twice := first[n]
		if twice && before.sum != s.sum {
			t.Errorf("process %d has sealed record %d of the secret %s with other bytes than process %d", s.process, n.number, n.secret, before.process)
		}
		first[n] = s
	}
	return byProcess
}
