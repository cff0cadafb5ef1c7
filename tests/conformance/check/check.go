// Package check runs checks one after the other and prints a line for each; what the Go suites share.
package check

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// Run is one run of a suite: where its broker is, which checks are wanted, and what became of them.
type Run struct {
	// Bootstrap is HOST:PORT of the broker.
	Bootstrap      string
	wanted         []string
	passed, failed int
}

// FromCommandLine takes the broker's address from the first argument or from BOOTSTRAP; further arguments choose the checks whose
// names contain one of them.
func FromCommandLine() *Run {
	if len(os.Args) > 1 {
		return &Run{Bootstrap: os.Args[1], wanted: os.Args[2:]}
	}
	return &Run{Bootstrap: os.Getenv("BOOTSTRAP")}
}

// Check runs a check for at most a minute; it fails by a panic.
func (r *Run) Check(name string, body func(context.Context)) {
	wanted := len(r.wanted) == 0
	for _, part := range r.wanted {
		wanted = wanted || strings.Contains(name, part)
	}
	if !wanted {
		return
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan string, 1)
	go func() {
		defer func() {
			complaint := ""
			if caught := recover(); caught != nil {
				complaint = strings.ReplaceAll(fmt.Sprint(caught), "\n", " ") + where()
			}
			done <- complaint
		}()
		body(ctx)
	}()
	complaint := "not done after a minute"
	select {
	case complaint = <-done:
	case <-time.After(65 * time.Second):
	}
	took := time.Since(start).Milliseconds()
	if complaint == "" {
		r.passed++
		fmt.Printf("ok     %s (%d ms)\n", name, took)
	} else {
		r.failed++
		fmt.Printf("FAILED %s (%d ms): %s\n", name, took, complaint)
	}
}

// where gives the first line of this suite below a panic.
func where() string {
	for _, line := range strings.Split(string(debug.Stack()), "\n") {
		if strings.Contains(line, "suite.go:") {
			return " (" + strings.TrimSpace(line[strings.LastIndex(line, "/")+1:]) + ")"
		}
	}
	return ""
}

// Finish prints the sum and ends the process with 1 unless every check passed.
func (r *Run) Finish() {
	fmt.Printf("%d passed, %d failed\n", r.passed, r.failed)
	if r.failed > 0 || r.passed == 0 {
		os.Exit(1)
	}
}

// That fails the check unless it holds.
func That(holds bool, otherwise string, arguments ...any) {
	if !holds {
		panic(fmt.Sprintf(otherwise, arguments...))
	}
}

// Same fails the check unless both are the same.
func Same[T comparable](expected, found T, what string) {
	That(expected == found, "%s: expected %v, found %v", what, expected, found)
}

// Must gives the value, or fails the check with the error.
func Must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Ok fails the check with the error, if there is one.
func Ok(err error) {
	if err != nil {
		panic(err)
	}
}

// Eventually waits until it holds, for at most so many seconds.
func Eventually(seconds int, what string, holds func() bool) {
	deadline := time.Now().Add(time.Duration(seconds) * time.Second)
	for !holds() {
		That(time.Now().Before(deadline), "after %d s still not: %s", seconds, what)
		time.Sleep(50 * time.Millisecond)
	}
}

// Fresh gives a name that no other run has.
func Fresh(what string) string {
	return what + "-" + strings.ToLower(rand.Text()[:8])
}
