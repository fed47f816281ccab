package answer

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/ollama/ollama/api"
)

// An Ollama that is busy is asked once more, and a stream that is cut is not a whole answer. `go test` runs it.
func TestAnswer(t *testing.T) {
	server := exec.Command("ollama-harness", "serve", "--port", "0", "--print-url", "--exit-on-stdin-close", "--any-model")
	stdin, _ := server.StdinPipe()
	stdout, _ := server.StdoutPipe()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Wait()
	defer stdin.Close()
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	base, _ := url.Parse(strings.TrimSpace(line))
	harness, ollama := base.JoinPath("_harness"), api.NewClient(base, http.DefaultClient)

	for _, rule := range []string{
		`{"on": "POST /api/chat #1", "fail": "503: busy"}`,
		`{"on": "POST /api/chat #3", "faults": ["close_at(after_record(3))"]}`,
	} {
		added, err := http.Post(harness.JoinPath("programme/rules").String(), "application/json", strings.NewReader(rule))
		if err != nil || added.StatusCode != http.StatusCreated {
			t.Fatal(added, err)
		}
	}

	if text, err := Answer(t.Context(), ollama, "Why is the sky blue?"); text == "" || err != nil {
		t.Errorf("the first answer is not whole: %q, %v", text, err)
	}
	if text, err := Answer(t.Context(), ollama, "Why is the sky blue?"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the second answer was cut, and this passed for it: %q, %v", text, err)
	}

	response, err := http.Get(harness.JoinPath("verify").String())
	if err != nil {
		t.Fatal(err)
	}
	verified, _ := io.ReadAll(response.Body)
	if result := (struct{ OK bool }{}); json.Unmarshal(verified, &result) != nil || !result.OK {
		t.Errorf("%s", verified)
	}
}
