//go:build !race

package remote_test

const maxAlloc = 64 << 10

// thin is of how many places to cut one is tried.
const thin = 1
