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
		runTasks(os.Args[2], number(3))
	} else if len(os.Args) == 6 && os.Args[1] == "channels" {
		runChannels(os.Args[2], number(3), number(4), number(5))
	} else {
		fail("usage: serve | tasks JOB COUNT | channels JOB COUNT CROWD CAPACITY")
	}
}

func number(argument int) int {
	number, err := strconv.Atoi(os.Args[argument])
	check(err)
	return number
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
