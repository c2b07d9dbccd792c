//go:build !linux

package remote

import "net"

// ackedBytes is not known here.
func ackedBytes(net.Conn) (n uint64, ok bool) { return 0, false }
