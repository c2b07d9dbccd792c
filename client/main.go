// Ferry is the client: a shell that moves files to and from a ferryd.
package main

import "os"

func main() { os.Exit(run(os.Args[1:])) }
