// Command ferryd is the server: it serves accounts' files to the client ferry, and administers the accounts.
package main

import (
	"context"
	"os"

	"ferry/server/daemon"
	"ferry/shared/procs"
)

func main() {
	procs.Limit()
	os.Exit(daemon.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
