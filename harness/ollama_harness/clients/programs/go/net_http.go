package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// netHTTP uses net/http with a bufio.Scanner: https://pkg.go.dev/bufio#example-Scanner-Lines
func netHTTP(ctx context.Context, job *job, session *http.Client, yield func(any) error) error {
	response, err := send(ctx, job, session)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if job.Answer == "one" {
		body, err := io.ReadAll(response.Body)
		if err != nil || len(body) == 0 || !isJSON(response) {
			return err
		}
		return yieldJSON(body, yield)
	}
	scanner := bufio.NewScanner(response.Body)
	var event eventLines
	for scanner.Scan() {
		if job.Answer == "records" {
			err = yieldJSON(scanner.Bytes(), yield)
		} else if text, ok := event.add(scanner.Text()); ok {
			err = yield(text)
		}
		if err != nil {
			return err
		}
	}
	return scanner.Err()
}

// netHTTPDecoder uses net/http with a json.Decoder: https://pkg.go.dev/encoding/json#example-Decoder
func netHTTPDecoder(ctx context.Context, job *job, session *http.Client, yield func(any) error) error {
	if job.Answer == "events" {
		return unsupported("a json.Decoder reads no event streams")
	}
	response, err := send(ctx, job, session)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if job.Answer == "one" && !isJSON(response) {
		return nil
	}
	decoder := json.NewDecoder(response.Body)
	for {
		var record any
		if err := decoder.Decode(&record); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := yield(record); err != nil || job.Answer == "one" {
			return err
		}
	}
}

func send(ctx context.Context, job *job, session *http.Client) (*http.Response, error) {
	var body io.Reader
	if job.Request.hasJSON() {
		body = bytes.NewReader(job.Request.JSON)
	} else if job.Request.Body != nil {
		body = strings.NewReader(*job.Request.Body)
	}
	request, err := http.NewRequestWithContext(ctx, job.Request.Method, job.URL+job.Request.Path, body)
	if err != nil {
		return nil, err
	}
	if job.Request.hasJSON() {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, header := range job.Request.Headers {
		request.Header.Set(header[0], header[1])
	}
	response, err := session.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusBadRequest {
		response.Body.Close()
		return nil, errors.New(response.Status)
	}
	return response, nil
}

func isJSON(response *http.Response) bool {
	return strings.Contains(response.Header.Get("Content-Type"), "json")
}

func yieldJSON(text []byte, yield func(any) error) error {
	var record any
	if err := json.Unmarshal(text, &record); err != nil {
		return err
	}
	return yield(record)
}

// eventLines gathers the lines of an event stream, as a user of such a library does.
//
// Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
type eventLines struct {
	lines []string
	begun bool
}

// add returns the event that a line ends, without its comments.
func (e *eventLines) add(line string) (string, bool) {
	if !e.begun {
		line, e.begun = strings.TrimPrefix(line, "\ufeff"), true
	}
	if line != "" {
		if !strings.HasPrefix(line, ":") {
			e.lines = append(e.lines, line)
		}
		return "", false
	}
	lines := e.lines
	e.lines = nil
	for _, each := range lines {
		if name, _, _ := strings.Cut(each, ":"); name == "data" {
			return strings.Join(lines, "\n"), true
		}
	}
	return "", false
}
