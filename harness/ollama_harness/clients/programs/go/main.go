// Drives clients in Go for ollama-harness. docs/client-protocol.md describes the messages, which are NDJSON both ways.
//
// How it works: one goroutine reads jobs from stdin, and exits the process when stdin ends. The main goroutine does one
// job after another. The client of a job runs in a goroutine of its own, so that the main one can report at the deadline
// that it hung; its context is then cancelled, and what it still yields is dropped.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"sync"
	"time"
)

// client makes the request of a job, and passes each record to yield as soon as the library has it. It returns the
// error of yield as soon as there is one.
type client func(ctx context.Context, job *job, session *http.Client, yield func(any) error) error

// clients are the clients of this program, and their versions.
var clients = map[string]struct {
	exchange client
	version  string
}{
	"ollama-go":        {ollamaGo, moduleVersion("github.com/ollama/ollama")},
	"net-http":         {netHTTP, goVersion()},
	"net-http-decoder": {netHTTPDecoder, goVersion()},
}

type job struct {
	ID             int     `json:"id"`
	Client         string  `json:"client"`
	URL            string  `json:"url"`
	Request        request `json:"request"`
	Answer         string  `json:"answer"`
	ReadTimeoutS   float64 `json:"read_timeout_s"`
	DeadlineS      float64 `json:"deadline_s"`
	StopAfter      int     `json:"stop_after"` // 0: never
	MeanwhileAfter int     `json:"meanwhile_after"`
	ReusesSession  bool    `json:"reuses_session"`
	KeepsSession   bool    `json:"keeps_session"`
	TrustEnv       bool    `json:"trust_env"`
}

type request struct {
	Method  string          `json:"method"`
	Path    string          `json:"path"`
	Headers [][2]string     `json:"headers"`
	JSON    json.RawMessage `json:"json"`
	Body    *string         `json:"body"`
}

func (r *request) hasJSON() bool { return len(r.JSON) > 0 && string(r.JSON) != "null" }

// unsupported is the reason why a client cannot make a request.
type unsupported string

func (u unsupported) Error() string { return string(u) }

// errStopped ends a client whose user stops reading.
var errStopped = errors.New("the user stops reading")

func main() {
	name := os.Args[1]
	chosen, known := clients[name]
	if !known {
		fmt.Fprintf(os.Stderr, "there is no client %q\n", name)
		os.Exit(2)
	}
	write(message{"protocol": 1, "ready": chosen.version})
	w := &worker{exchange: chosen.exchange, jobs: make(chan *job)}
	go w.read(os.Stdin)
	for next := range w.jobs {
		w.do(next)
	}
}

type worker struct {
	exchange client
	jobs     chan *job
	session  *http.Client
}

// read passes jobs on. When stdin ends, the harness needs no more: exit, even if a client hangs.
func (w *worker) read(from io.Reader) {
	decoder := json.NewDecoder(from)
	for {
		next := new(job)
		if err := decoder.Decode(next); err != nil {
			os.Exit(0)
		}
		w.jobs <- next
	}
}

// do does a job to its end.
func (w *worker) do(job *job) {
	begun := time.Now()
	if !job.ReusesSession || w.session == nil {
		w.session = newSession(job)
	}
	session := w.session
	if !job.KeepsSession {
		defer session.CloseIdleConnections()
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	seen := &sockets{}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{ConnectStart: seen.add})

	records := make(chan any)
	more := make(chan error)
	ended := make(chan error, 1)
	yield := func(record any) error {
		select {
		case records <- record:
			return <-more
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	go func() { ended <- w.exchange(ctx, job, session, yield) }()

	deadline := time.After(seconds(job.DeadlineS))
	for count := 0; ; {
		select {
		case record := <-records:
			count++
			write(message{"record": record, "at_s": time.Since(begun).Seconds()})
			if count == job.MeanwhileAfter {
				write(message{"meanwhile": true})
				w.do(<-w.jobs)
			}
			if count == job.StopAfter {
				more <- errStopped
			} else {
				more <- nil
			}
		case err := <-ended:
			write(endOf(job, err, seen))
			return
		case <-deadline:
			write(message{"end": "hung", "id": job.ID})
			return
		}
	}
}

// newSession returns Go's default client with the settings of the job. Go has no read timeout for a body: its nearest
// setting is that for the head. The Timeout of a client would limit the whole exchange.
func newSession(job *job) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = seconds(job.ReadTimeoutS)
	if !job.TrustEnv {
		transport.Proxy = nil
	}
	return &http.Client{Transport: transport}
}

func endOf(job *job, err error, seen *sockets) message {
	end := message{"id": job.ID, "tried": seen.all()}
	var reason unsupported
	switch {
	case err == nil:
		end["end"] = "ended"
	case errors.Is(err, errStopped):
		end["end"] = "stopped"
	case errors.As(err, &reason):
		end["end"], end["reason"] = "unsupported", reason.Error()
	default:
		end["end"], end["types"], end["message"] = "raised", typesOf(err), err.Error()
	}
	return end
}

// sockets are the addresses to which connections were tried.
type sockets struct {
	mutex sync.Mutex
	tried [][2]any
}

func (s *sockets) add(_, address string) {
	host, port, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.tried = append(s.tried, [2]any{host, number})
}

func (s *sockets) all() [][2]any {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([][2]any{}, s.tried...)
}

type message map[string]any

var stdout = bufio.NewWriter(os.Stdout)

func write(m message) {
	encoder := json.NewEncoder(stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(m); err != nil {
		panic(err)
	}
	stdout.Flush()
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
