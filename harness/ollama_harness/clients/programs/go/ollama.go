package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/envconfig"
)

// ollamaGo uses Ollama's own package, on which its command line is built: https://pkg.go.dev/github.com/ollama/ollama/api
func ollamaGo(ctx context.Context, job *job, session *http.Client, yield func(any) error) error {
	base := envconfig.Host() // as ClientFromEnvironment does
	if job.URL != "" {
		var err error
		if base, err = url.Parse(job.URL); err != nil {
			return err
		}
	}
	c := api.NewClient(base, session)
	if len(job.Request.Headers) > 0 {
		return unsupported("its calls take no headers")
	}
	switch job.Request.Method + " " + job.Request.Path {
	case "POST /api/generate":
		return stream(ctx, job, yield, c.Generate)
	case "POST /api/chat":
		return stream(ctx, job, yield, c.Chat)
	case "POST /api/pull":
		return stream(ctx, job, yield, c.Pull)
	case "POST /api/push":
		return stream(ctx, job, yield, c.Push)
	case "POST /api/create":
		return stream(ctx, job, yield, c.Create)
	case "POST /api/embed":
		return ask(ctx, job, yield, c.Embed)
	case "POST /api/embeddings":
		return ask(ctx, job, yield, c.Embeddings)
	case "POST /api/show":
		return ask(ctx, job, yield, c.Show)
	case "GET /api/tags":
		return get(ctx, yield, c.List)
	case "GET /api/ps":
		return get(ctx, yield, c.ListRunning)
	case "GET /api/version":
		return get(ctx, yield, func(ctx context.Context) (any, error) {
			version, err := c.Version(ctx)
			return map[string]string{"version": version}, err
		})
	case "POST /api/copy":
		return command(ctx, job, c.Copy)
	case "DELETE /api/delete":
		return command(ctx, job, c.Delete)
	default:
		return unsupported(fmt.Sprintf("it has no call for %s %s", job.Request.Method, job.Request.Path))
	}
}

// stream makes a call that passes each response to a function, which ends the call by an error.
func stream[Request, Response any, Function ~func(Response) error](
	ctx context.Context, job *job, yield func(any) error, call func(context.Context, *Request, Function) error,
) error {
	request, err := typed[Request](&job.Request)
	if err != nil {
		return err
	}
	return call(ctx, request, func(response Response) error { return yield(response) })
}

// ask makes a call that returns one response.
func ask[Request, Response any](
	ctx context.Context, job *job, yield func(any) error, call func(context.Context, *Request) (*Response, error),
) error {
	request, err := typed[Request](&job.Request)
	if err != nil {
		return err
	}
	return get(ctx, yield, func(ctx context.Context) (*Response, error) { return call(ctx, request) })
}

// get makes a call without a request of its own.
func get[Response any](
	ctx context.Context, yield func(any) error, call func(context.Context) (Response, error),
) error {
	response, err := call(ctx)
	if err != nil {
		return err
	}
	return yield(response)
}

// command makes a call that returns only an error.
func command[Request any](ctx context.Context, job *job, call func(context.Context, *Request) error) error {
	request, err := typed[Request](&job.Request)
	if err != nil {
		return err
	}
	return call(ctx, request)
}

// typed returns the request of a recording in the types of the package, if they have a place for all of it.
func typed[Request any](recorded *request) (*Request, error) {
	if recorded.Body != nil || !recorded.hasJSON() {
		return nil, unsupported("its calls send only JSON objects")
	}
	decoder := json.NewDecoder(bytes.NewReader(recorded.JSON))
	decoder.DisallowUnknownFields()
	request := new(Request)
	if err := decoder.Decode(request); err != nil {
		return nil, unsupported(fmt.Sprintf("%T does not take it: %v", *request, err))
	}
	return request, nil
}
