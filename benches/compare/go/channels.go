package main

import (
	"encoding/json"
	"os"
	"sync"
	"sync/atomic"
)

// A crowd of so many senders, and of so many receivers, has a channel of that capacity.
func runChannels(job string, count, crowd, capacity int) {
	run := map[string]func(){
		"round-trip":   func() { roundTrips(count) },
		"one-to-one":   func() { oneToOne(count) },
		"four-to-four": func() { crowdToCrowd(count/crowd, crowd, capacity) },
		"parked":       func() { parkedInReceive(count, capacity) },
	}[job]
	if run == nil {
		fail("no such job: " + job)
	}
	before := memory()
	result := measure(count, run)
	if job == "parked" {
		each := float64(memory()-before) / float64(count)
		result.BytesEach = &each
	}
	check(json.NewEncoder(os.Stdout).Encode(result))
}

func roundTrips(count int) {
	questions, answers := make(chan int), make(chan int)
	go func() {
		for i := 0; i < count; i++ {
			answers <- <-questions
		}
	}()
	for i := 0; i < count; i++ {
		questions <- i
		if <-answers != i {
			fail("another answer")
		}
	}
}

// Go has no channel without a bound. This one has room for all.
func oneToOne(count int) {
	messages := make(chan int, count)
	go func() {
		for i := 0; i < count; i++ {
			messages <- i
		}
	}()
	for i := 0; i < count; i++ {
		if <-messages != i {
			fail("another message")
		}
	}
}

func crowdToCrowd(share, crowd, capacity int) {
	messages := make(chan int, capacity)
	var left sync.WaitGroup
	left.Add(2 * crowd)
	for i := 0; i < crowd; i++ {
		go func() {
			for i := 0; i < share; i++ {
				messages <- i
			}
			left.Done()
		}()
		go func() {
			for i := 0; i < share; i++ {
				<-messages
			}
			left.Done()
		}()
	}
	left.Wait()
}

// Returns once all of them wait for a message, or are about to.
func parkedInReceive(count, capacity int) {
	messages := make(chan int, capacity)
	started := make(chan struct{})
	var left atomic.Int64
	left.Store(int64(count))
	for i := 0; i < count; i++ {
		go func() {
			if left.Add(-1) == 0 {
				close(started)
			}
			<-messages
		}()
	}
	<-started
}
