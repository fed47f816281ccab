package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// named are the errors that packages document as values, whose types say nothing.
var named = map[error]string{
	io.EOF:                   "io.EOF",
	io.ErrUnexpectedEOF:      "io.ErrUnexpectedEOF",
	bufio.ErrTooLong:         "bufio.ErrTooLong",
	context.Canceled:         "context.Canceled",
	context.DeadlineExceeded: "context.DeadlineExceeded",
}

// typesOf returns the names of an error and of all that it wraps, the outermost first. Each of them is an error.
func typesOf(err error) []string {
	var names []string
	for ; err != nil; err = errors.Unwrap(err) {
		for value, name := range named {
			if err == value {
				names = append(names, name)
			}
		}
		names = append(names, fmt.Sprintf("%T", err))
	}
	return append(names, "error")
}

// moduleVersion returns the version of a module that is built into this program.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == path {
				return module.Version[1:]
			}
		}
	}
	return "unknown"
}

func goVersion() string { return runtime.Version()[len("go"):] }
