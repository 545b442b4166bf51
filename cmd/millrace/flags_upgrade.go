package main

// upgradeFlags are about processes that follow each other: see upgradeCommand.
type upgradeFlags struct {
	Control  string `placeholder:"PATH" help:"Unix socket by which millrace upgrade reaches the server, as root or as its user. Linux. [control in systemd's RuntimeDirectory, or none]"`
	Takeover bool   `hidden:"" env:"-" help:"Take over from the process that has started this one. [off]"`
}
