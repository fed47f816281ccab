// Package answer is an application that asks Ollama through its own client package.
package answer

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/ollama/ollama/api"
)

// Answer asks a busy server once more, and its user never takes a part for the whole answer.
func Answer(ctx context.Context, client *api.Client, prompt string) (string, error) {
	text, err := ask(ctx, client, prompt)
	var status api.StatusError
	if errors.As(err, &status) && status.StatusCode == http.StatusServiceUnavailable {
		text, err = ask(ctx, client, prompt)
	}
	return text, err
}

func ask(ctx context.Context, client *api.Client, prompt string) (text string, err error) {
	request := &api.ChatRequest{Model: "llama3.2", Messages: []api.Message{{Role: "user", Content: prompt}}}
	done := false
	err = client.Chat(ctx, request, func(part api.ChatResponse) error {
		text, done = text+part.Message.Content, part.Done
		return nil
	})
	// The package returns no error when a stream is cut. Without these lines, a part would pass for the whole answer.
	if err == nil && !done {
		err = io.ErrUnexpectedEOF
	}
	return text, err
}
