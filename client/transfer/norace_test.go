//go:build !race

package transfer_test

// mostWaits is how often a tree may wait for the line. It takes 2.
const mostWaits = 3
