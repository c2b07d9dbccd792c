//go:build race

package remote_test

// With the race detector pools lose a quarter of what they are given; still it must stay below one buffer for each block.
const maxAlloc = 1 << 20

// thin is of how many places to cut one is tried: races are looked for in each kind of cut, not at each byte.
const thin = 3
