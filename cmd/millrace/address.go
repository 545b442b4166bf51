package main

import (
	"millrace/internal/node"
	"millrace/internal/ports"
)

// address is one to listen on.
type address string

func parseAddress(text string) (address, error) { return address(text), ports.CheckAddress(text) }

// portAddress is one to listen on, or off.
type portAddress string

func parsePortAddress(text string) (portAddress, error) {
	if text == node.Off {
		return portAddress(text), nil
	}
	return portAddress(text), ports.CheckAddress(text)
}
