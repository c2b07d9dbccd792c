// Package procs decides how many processors a program of ferry keeps busy by itself.
package procs

import (
	"os"
	"runtime"
)

// Limit lets Go code run on half of the processors that it may run on, unless the environment variable GOMAXPROCS says otherwise. The other half
// of the work, that of the network and of the disk, is done by the kernel in system calls, which do not count. With as many
// as there are processors, and both ends of a transfer or many small requests on few of them, waking threads up for one
// another takes a tenth of the time (docs/performance.md).
func Limit() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
}
