package main

import (
	"encoding/json"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// What one batch showed. src/tasks/mod.rs reads it.
type outcome struct {
	Operations uint64   `json:"operations"`
	Seconds    float64  `json:"seconds"`
	CPUSeconds float64  `json:"cpu_seconds"`
	BytesEach  *float64 `json:"bytes_each"`
}

func runTasks(job string, count int) {
	run := map[string]func(){
		"spawn-join":     func() { spawnJoin(count) },
		"spawn-finish":   func() { batch(count, func() {}) },
		"spawn-yield":    func() { batch(count, runtime.Gosched) },
		"yield-two":      func() { yield(2, count) },
		"yield-thousand": func() { yield(1000, count) },
		"parked":         func() { parked(count) },
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

func measure(count int, run func()) outcome {
	cpu, start := cpuTime(), time.Now()
	run()
	seconds := time.Since(start).Seconds()
	return outcome{uint64(count), seconds, (cpuTime() - cpu).Seconds(), nil}
}

func spawnJoin(count int) {
	for i := 0; i < count; i++ {
		done := make(chan struct{})
		go func() { close(done) }()
		<-done
	}
}

// Spawns so many, each of which does this once, and waits for them all.
func batch(count int, work func()) {
	var left sync.WaitGroup
	left.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			work()
			left.Done()
		}()
	}
	left.Wait()
}

func yield(tasks, count int) {
	batch(tasks, func() {
		for i := 0; i < count/tasks; i++ {
			runtime.Gosched()
		}
	})
}

// Spawns so many that wait for good; returns once all of them wait, or are about to.
func parked(count int) {
	gate := make(chan struct{})
	started := make(chan struct{})
	var left atomic.Int64
	left.Store(int64(count))
	for i := 0; i < count; i++ {
		go func() {
			if left.Add(-1) == 0 {
				close(started)
			}
			<-gate
		}()
	}
	<-started
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// VmRSS + VmPTE, in bytes.
func memory() int64 {
	status, err := os.ReadFile("/proc/self/status")
	check(err)
	var kib int64
	for _, line := range strings.Split(string(status), "\n") {
		if strings.HasPrefix(line, "VmRSS:") || strings.HasPrefix(line, "VmPTE:") {
			value, err := strconv.ParseInt(strings.Fields(line)[1], 10, 64)
			check(err)
			kib += value
		}
	}
	return kib * 1024
}
