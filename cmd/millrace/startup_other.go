//go:build !linux

package main

// forgetStartup is for Linux.
func forgetStartup() {}
