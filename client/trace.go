package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// startSpan begins the span of one request, by OpenTelemetry's stable conventions for HTTP clients. The global
// tracer provider decides whether it is recorded. The query is left out: it may hold appsecret_proof.
func startSpan(ctx context.Context, baseURL, method, phoneNumberID string) (context.Context, trace.Span) {
	const template = "/{version}/{phone-number-id}/block_users"
	ctx, span := otel.Tracer("github.com/wablock/wablock/client").Start(ctx, method+" "+template, trace.WithSpanKind(trace.SpanKindClient))
	if !span.IsRecording() {
		return ctx, span
	}
	span.SetAttributes(semconv.HTTPRequestMethodKey.String(method), semconv.URLTemplate(template), semconv.URLFull(baseURL+"/"+phoneNumberID+"/block_users"))
	if base, err := url.Parse(baseURL); err == nil {
		port := 443
		if base.Scheme == "http" {
			port = 80
		}
		if p, err := strconv.Atoi(base.Port()); err == nil {
			port = p
		}
		span.SetAttributes(semconv.ServerAddress(base.Hostname()), semconv.ServerPort(port))
	}
	return ctx, span
}

// endSpan ends the span of a request that was answered with a status, 0 for none.
func endSpan(span trace.Span, status int, err error) {
	if status > 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	}
	kind := ""
	switch {
	case status >= 400:
		kind = strconv.Itoa(status)
	case errors.Is(err, context.DeadlineExceeded):
		kind = "timeout"
	case err != nil:
		kind = fmt.Sprintf("%T", err)
	}
	if kind != "" {
		span.SetAttributes(semconv.ErrorTypeKey.String(kind))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
