package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Tracing makes the process record traces and send them by OTLP over HTTP, if OpenTelemetry's own variables set an
// endpoint; the SDK reads the rest of them. Call stop at the end: it sends what is left, for flushFor at most.
// failed hears of traces that could not be sent, and of variables that the SDK passes over. The error names a
// variable that asks for what is not built in; then none are recorded.
func Tracing(ctx context.Context, env map[string]string, version string, failed func(error)) (stop func(), err error) {
	none := func() {}
	endpoint := env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] + env["OTEL_EXPORTER_OTLP_ENDPOINT"]
	if endpoint == "" || strings.EqualFold(env["OTEL_SDK_DISABLED"], "true") || env["OTEL_TRACES_EXPORTER"] == "none" {
		return none, nil
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if v := env[name]; v != "" && v != "http/protobuf" {
			return none, fmt.Errorf("%s is %q: traces are sent by http/protobuf alone (collectors take it on port 4318)", name, v)
		}
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return none, fmt.Errorf("OTEL_EXPORTER_OTLP_…: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName("wablock"), semconv.ServiceVersion(version)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return none, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(failed))
	otel.SetTracerProvider(provider)
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushFor)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			failed(err)
		}
	}, nil
}

// flushFor bounds the time that the last traces take at the end of a process.
const flushFor = 3 * time.Second
