package interop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/node"
	"millrace/internal/testenv"
	"millrace/server"
)

const signingSecret = "0123456789abcdef0123456789abcdef"

// tokenLibraries are programs that print a token of each claims, in each algorithm of a
// library.
var tokenLibraries = []struct {
	name       string
	algorithms int
	program    func(t *testing.T, args ...string) *exec.Cmd
}{
	{"ruby-jwt", 4, func(t *testing.T, args ...string) *exec.Cmd {
		return ruby(t, []string{"jwt"}, "tokens.rb", args...)
	}},
	{"PyJWT", 5, func(t *testing.T, args ...string) *exec.Cmd {
		const python = "/usr/bin/python3" // Debian's, which has Debian's packages
		if out, err := command(t, python, "-c", "import jwt, cryptography").CombinedOutput(); err != nil {
			testenv.Lack(t, fmt.Sprintf("PyJWT is missing (Debian: python3-jwt): %s", out))
		}
		return command(t, python, append([]string{"testdata/tokens.py"}, args...)...)
	}},
	{"jsonwebtoken", 4, func(t *testing.T, args ...string) *exec.Cmd {
		return script(t, "tokens.mjs", append([]string{"jsonwebtoken"}, args...)...)
	}},
	{"jose", 5, func(t *testing.T, args ...string) *exec.Cmd {
		return script(t, "tokens.mjs", append([]string{"jose"}, args...)...)
	}},
}

// tokenKeys writes a secret and private keys to a directory, and returns what a node
// needs of them.
func tokenKeys(t *testing.T, directory string) (keys []string) {
	t.Helper()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	add := func(name string, key crypto.Signer, err error, algorithms ...string) {
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(name, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
		public, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		for _, algorithm := range algorithms {
			keys = append(keys, algorithm+string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
		}
	}
	write("secret", signingSecret)
	keys = append(keys, signingSecret)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	add("rsa.pem", rsaKey, err, "", "PS256:")
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	add("ec.pem", ecKey, err, "")
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	add("ed.pem", edKey, err, "")
	return keys
}

// Ensure that tokens of the usual libraries let in, in each algorithm that they have, and
// that those which have expired, or are for another audience, do not.
func TestTokensOfLibraries(t *testing.T) {
	directory := t.TempDir()
	n, err := node.Start(node.Options{
		Public: server.Config{Listen: "127.0.0.1:0"},
		Access: node.Access{JWT: node.JWT{Keys: tokenKeys(t, directory), Audiences: []string{"events"}, Grants: []string{"mercure", "channels"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	wants := []struct {
		claims string
		status int
	}{
		{fmt.Sprintf(`{"sub":"ümit","aud":"events","iat":%d,"exp":%d,"channels":["/räume/1"]}`, at(0), at(time.Hour)), 200},
		{fmt.Sprintf(`{"aud":["x","events"],"nbf":%d,"mercure":{"subscribe":["/r*"],"publish":[]}}`, at(-time.Hour)), 200},
		{fmt.Sprintf(`{"aud":"events","exp":%d,"channels":["/räume/1"]}`, at(-time.Minute)), 401},
		{`{"aud":"other","channels":["/räume/1"]}`, 401},
		{`{"aud":"events","channels":["/räume/2"]}`, 403},
	}
	args := []string{directory}
	for _, want := range wants {
		args = append(args, want.claims)
	}
	for _, library := range tokenLibraries {
		t.Run(library.name, func(t *testing.T) {
			words := strings.Fields(output(t, library.program(t, args...)))
			if len(words) != 2*library.algorithms*len(wants) {
				t.Fatalf("it printed %q, want %d algorithms with %d tokens each", words, library.algorithms, len(wants))
			}
			for i := range len(words) / 2 {
				algorithm, token, want := words[2*i], words[2*i+1], wants[i%len(wants)]
				if got := statusOf(t, "http://"+n.PublicAddr()+"/r%C3%A4ume/1?access_token="+token); got != want.status {
					t.Errorf("%s of %s: %d, want %d", algorithm, want.claims, got, want.status)
				}
			}
		})
	}
}

// statusOf returns the status of the answer to a request for a stream.
func statusOf(t *testing.T, target string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}
