// Command queue counts requests as Knative Serving's queue proxy does: it serves on the address of its first argument,
// each request as long as its query parameter `for` says, and exports on that of its second.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"knative.dev/pkg/observability/metrics"
	"knative.dev/serving/pkg/queue"
)

func answer(w http.ResponseWriter, r *http.Request) {
	length, err := time.ParseDuration(r.URL.Query().Get("for"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	time.Sleep(length)
}

func run(serve, export string) error {
	provider, err := metrics.NewMeterProvider(
		context.Background(),
		metrics.Config{Protocol: metrics.ProtocolPrometheus, Endpoint: export},
	)
	if err != nil {
		return err
	}
	handler, err := queue.NewAppRequestMetricsHandler(provider, http.HandlerFunc(answer), nil)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: serve, Handler: handler, ReadHeaderTimeout: time.Second}
	return server.ListenAndServe()
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: queue SERVE EXPORT")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
