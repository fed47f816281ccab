// Command go_client asks a server through Ollama's own client package, as a program in Go does, and prints what each
// method returned: an object of steps on standard output. The server is that of OLLAMA_HOST.
//
// usage: go_client MODEL EMBEDDING_MODEL
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ollama/ollama/api"
)

// failure is an error as the client package returns it; Status is 0 for one that came inside a stream.
type failure struct {
	Status int    `json:"status"`
	Text   string `json:"text"`
}

func failed(err error) any {
	var status api.StatusError
	if errors.As(err, &status) {
		return failure{status.StatusCode, status.ErrorMessage}
	}
	return failure{0, err.Error()}
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: go_client MODEL EMBEDDING_MODEL")
		os.Exit(2)
	}
	model, embedding := os.Args[1], os.Args[2]
	client, err := api.ClientFromEnvironment()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	steps := map[string]any{}
	note := func(step string, value any, err error) {
		if err != nil {
			value = failed(err)
		}
		steps[step] = value
	}

	note("heartbeat", true, client.Heartbeat(ctx))
	version, err := client.Version(ctx)
	note("version", version, err)

	names := func() ([]string, error) {
		list, err := client.List(ctx)
		if err != nil {
			return nil, err
		}
		found := []string{}
		for _, one := range list.Models {
			if one.Size <= 0 || one.Digest == "" || one.ModifiedAt.IsZero() {
				return nil, fmt.Errorf("%s lacks size, digest or modified_at", one.Name)
			}
			found = append(found, one.Name)
		}
		return found, nil
	}
	running := func() ([]string, error) {
		list, err := client.ListRunning(ctx)
		if err != nil {
			return nil, err
		}
		found := []string{}
		for _, one := range list.Models {
			if !one.ExpiresAt.After(time.Now()) {
				return nil, fmt.Errorf("%s has expired", one.Name)
			}
			found = append(found, one.Name)
		}
		return found, nil
	}
	listed, err := names()
	note("list", listed, err)

	shown, err := client.Show(ctx, &api.ShowRequest{Model: model})
	if err == nil {
		note("show", shown.Details.Format, nil)
	} else {
		note("show", nil, err)
	}
	_, err = client.Show(ctx, &api.ShowRequest{Model: "nosuch"})
	note("show nosuch", nil, err)

	var text strings.Builder
	var ended string
	err = client.Chat(ctx, &api.ChatRequest{
		Model:    model,
		Messages: []api.Message{{Role: "user", Content: "Why is the sky blue?"}},
	}, func(one api.ChatResponse) error {
		text.WriteString(one.Message.Content)
		if one.Done {
			ended = one.DoneReason
		}
		return nil
	})
	note("chat", []any{text.Len() > 0, ended}, err)

	text.Reset()
	err = client.Generate(ctx, &api.GenerateRequest{Model: model, Prompt: "Why is the sky blue?"},
		func(one api.GenerateResponse) error {
			text.WriteString(one.Response)
			if one.Done {
				ended = one.DoneReason
			}
			return nil
		})
	note("generate", []any{text.Len() > 0, ended}, err)

	embedded, err := client.Embed(ctx, &api.EmbedRequest{Model: embedding, Input: []string{"sky", "sea"}})
	if err == nil {
		note("embed", len(embedded.Embeddings), nil)
	} else {
		note("embed", nil, err)
	}
	loaded, err := running()
	note("running", loaded, err)

	err = client.Generate(ctx, &api.GenerateRequest{Model: model, KeepAlive: &api.Duration{Duration: 0}},
		func(one api.GenerateResponse) error {
			note("unload", one.DoneReason, nil)
			return nil
		})
	if err != nil {
		note("unload", nil, err)
	}
	loaded, err = running()
	note("running then", loaded, err)

	progress := []string{}
	err = client.Pull(ctx, &api.PullRequest{Model: "nosuch"}, func(one api.ProgressResponse) error {
		progress = append(progress, one.Status)
		return nil
	})
	note("pull progress", progress, nil)
	note("pull", nil, err)

	note("copy", true, client.Copy(ctx, &api.CopyRequest{Source: model, Destination: "mine"}))
	listed, err = names()
	note("list then", listed, err)
	note("delete", true, client.Delete(ctx, &api.DeleteRequest{Model: "mine"}))
	note("delete again", true, client.Delete(ctx, &api.DeleteRequest{Model: "mine"}))

	if err := json.NewEncoder(os.Stdout).Encode(steps); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
