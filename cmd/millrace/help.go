package main

import "github.com/alecthomas/kong"

// helpCommand is --help as a command.
type helpCommand struct {
	Command []string `arg:"" optional:"" help:"Command that it is about. [all]"`
}

// Run prints the help, and ends the process.
func (c *helpCommand) Run(parser *kong.Kong) error {
	_, err := parser.Parse(append(c.Command, "--help"))
	if err != nil {
		err = explain(err)
	}
	return err
}
