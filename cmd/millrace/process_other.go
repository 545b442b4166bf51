//go:build !linux

package main

import (
	"errors"
	"net"
)

// controlSupported is whether a running process can be upgraded on this system.
const controlSupported = false

// errLinuxOnly is why not.
var errLinuxOnly = errors.New("a running process can be upgraded on Linux only: descriptors of processes (pidfd) are Linux's")

// peer is another process, which cannot be known here.
type peer struct{}

func watch(int, int) *peer                   { return nil }
func (*peer) Gone() <-chan struct{}          { return nil }
func (*peer) Kill()                          {}
func (*peer) PID() int                       { return 0 }
func isInherited(int) bool                   { return false }
func ownPidfd() (int, error)                 { return -1, errLinuxOnly }
func pidOf(int) int                          { return 0 }
func peerOf(*net.UnixConn) (int, int, error) { return -1, 0, errLinuxOnly }

func startSibling(string, []string, []string, ...int) (*peer, error) { return nil, errLinuxOnly }
