//go:build !race

package remote_test

const maxAlloc = 64 << 10
