//go:build race

package transfer_test

// With the race detector a side may take longer than the line, which looks like a wait.
const mostWaits = 5
