package main

import (
	"fmt"

	"millrace/internal/handover"
	"millrace/internal/logs"
	"millrace/internal/node"
)

// takeoverFlag is what a predecessor adds to the command line of its successor. A program that
// does not know it ends with status 2, and everything stays as it is.
const takeoverFlag = "--takeover"

// Descriptors of a successor, beside the standard ones.
const (
	controlFD     = 3 // the connection with the predecessor
	predecessorFD = 4 // a pidfd of that
)

// takeOver returns a node that has all that the predecessor of this process had, and what
// was asked of that at last. ready is called before the predecessor ends.
func (f *serverFlags) takeOver(queue *logs.Queue, ready func(*node.Node)) (*node.Node, handover.Bye, error) {
	if !isInherited(controlFD) || !isInherited(predecessorFD) {
		return nil, handover.Bye{}, fmt.Errorf("%w: %s is for processes that millrace upgrade starts", errUsage, takeoverFlag)
	}
	t := node.Takeover{Conn: handover.NewConn(controlFD), Predecessor: watch(0, predecessorFD), Ready: ready}
	options, err := f.nodeOptions(queue)
	if err != nil {
		return nil, handover.Bye{}, err
	}
	return node.TakeOver(options, t)
}
