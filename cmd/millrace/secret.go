package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// secret is a value that others must not see. One that is set and empty is refused:
// the command or the file that should have given it has failed, and to go on without
// would open a port.
type secret string

// String keeps secrets out of the log and of errors.
func (secret) String() string { return "(secret)" }

// GoString does so for %#v.
func (secret) GoString() string { return "(secret)" }

func parseSecret(text string) (secret, error) {
	if text == "" {
		return "", errors.New("set and empty")
	}
	return secret(text), nil
}

// secretFile is the path of a file that has a secret.
type secretFile string

func parseSecretFile(text string) (secretFile, error) {
	secret, err := parseSecret(text)
	return secretFile(secret), err
}

// maxSecret bounds a secret in a file, in bytes.
const maxSecret = 64 << 10

// read returns the one line of the file.
func (f secretFile) read() (secret, error) {
	file, err := os.Open(string(f))
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return "", err
	}
	text, _ = bytes.CutSuffix(text, []byte("\n"))
	text, _ = bytes.CutSuffix(text, []byte("\r"))
	switch {
	case len(text) == 0:
		return "", fmt.Errorf("%w: %s is empty, want a secret in it: has the program that writes it failed?", errUsage, f)
	case len(text) > maxSecret || bytes.ContainsAny(text, "\r\n\x00"):
		return "", fmt.Errorf("%w: %s has more than one line or %v, want a secret and nothing else in it", errUsage, f, size(maxSecret))
	}
	return secret(text), nil
}

// secretSource is where the secret of a flag comes from: the flag, or the file of the
// flag with -file after its name.
type secretSource struct {
	flag  string
	value *secret // as it was given; set by resolve if a file has it
	file  secretFile
	fixed bool // until the next start
}

// resolve reads the secrets that are in files. Its errors say what to do, and never show a
// secret.
func resolve(sources []secretSource) error {
	for _, s := range sources {
		switch {
		case s.file == "":
			continue
		case *s.value != "":
			return fmt.Errorf("%w: --%s and --%[2]s-file are both set (as %s and %[3]s_FILE, perhaps): want one of them", errUsage, s.flag, variable(s.flag))
		}
		var err error
		if *s.value, err = s.file.read(); err != nil {
			return fmt.Errorf("--%s-file: %w", s.flag, err)
		}
	}
	return nil
}

// variable returns the variable of a flag.
func variable(flag string) string {
	return "MILLRACE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
