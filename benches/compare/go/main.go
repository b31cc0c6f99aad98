// The Go side of the comparison: an echo server and batches of goroutines.
// GOMAXPROCS is set by the parent, as are the CPUs.
package main

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "serve" {
		serve()
	} else if len(os.Args) == 4 && os.Args[1] == "tasks" {
		count, err := strconv.Atoi(os.Args[3])
		check(err)
		runTasks(os.Args[2], count)
	} else {
		fail("usage: serve | tasks JOB COUNT")
	}
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
