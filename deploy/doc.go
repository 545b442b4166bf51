// Package deploy holds what a host needs to run millrace: a systemd unit and its
// settings, kernel limits, a container file, and configurations of nginx, HAProxy
// and Caddy in front. docs/operations.md says how to install them. Its Go files
// are tests: each of these files is put to use as it is shipped, with other
// addresses and paths.
package deploy
