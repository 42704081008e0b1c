// Command admit answers for Knative Serving's admission webhook: it reads a JSON list of Knative Services and prints,
// for each, the Service with its defaults, or why it is refused.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"knative.dev/pkg/apis"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
)

type answer struct {
	Refused string             `json:"refused,omitempty"`
	Service *servingv1.Service `json:"service,omitempty"`
}

func admit(service *servingv1.Service) answer {
	ctx := apis.WithinCreate(context.Background())
	service.SetDefaults(ctx)
	// Warnings are told and do not refuse.
	if refused := service.Validate(ctx).Filter(apis.ErrorLevel); refused != nil {
		return answer{Refused: refused.Error()}
	}
	return answer{Service: service}
}

func run() error {
	var services []*servingv1.Service
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&services); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	answers := make([]answer, 0, len(services))
	for _, service := range services {
		answers = append(answers, admit(service))
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
