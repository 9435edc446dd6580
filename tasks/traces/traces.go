// Package traces makes OpenTelemetry spans of wablock's work with the process's global tracer provider, which
// records nothing unless the program has set one. A request is a span of its producer; each run of a task, and each
// API call, is a span of its own, linked to the requests that it carries out. These are links and no parents,
// since a task may wait for days and a call serves many requests. A call is often made before a task is run:
// what is to be called stands in the ledger.
//
// No attribute names a user.
package traces

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/wablock/wablock/tasks/traces"

// Work holds what a span is about.
type Work struct {
	PhoneNumberID string
	Operation     string
	Users         int
	Queue         string // of a task
	JobID         string // of a task
}

// describe sets a span's attributes. Where nothing is recorded, each run of a task would make them for nothing.
func (w Work) describe(span trace.Span, more ...attribute.KeyValue) {
	if !span.IsRecording() {
		return
	}
	list := []attribute.KeyValue{
		attribute.String("wablock.phone_number_id", w.PhoneNumberID),
		attribute.String("wablock.operation", w.Operation),
		attribute.Int("wablock.users", w.Users),
	}
	if w.JobID != "" {
		list = append(list, attribute.String("wablock.job_id", w.JobID))
	}
	if w.Queue != "" {
		list = append(list, semconv.MessagingSystemKey.String("asynq"), semconv.MessagingDestinationName(w.Queue))
	}
	span.SetAttributes(append(list, more...)...)
}

// Send begins the span of a request that becomes tasks; it is a child of the span in ctx.
func Send(ctx context.Context, w Work) (context.Context, trace.Span) {
	ctx, span := otel.Tracer(scope).Start(ctx, "send "+w.Queue, trace.WithSpanKind(trace.SpanKindProducer))
	w.describe(span, semconv.MessagingOperationTypeSend, semconv.MessagingOperationName("send"))
	return ctx, span
}

// Process begins the span of one run of a task, linked to the request that traceparent names; "" or what is no
// traceparent links nothing.
func Process(ctx context.Context, w Work, traceparent string) (context.Context, trace.Span) {
	ctx, span := otel.Tracer(scope).Start(ctx, "process "+w.Queue, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer))
	w.describe(span, semconv.MessagingOperationTypeProcess, semconv.MessagingOperationName("process"))
	Link(span, traceparent)
	return ctx, span
}

// Call begins the span of an API call. The HTTP request is a child of it, made by the client.
func Call(ctx context.Context, w Work) (context.Context, trace.Span) {
	ctx, span := otel.Tracer(scope).Start(ctx, "call "+w.Operation, trace.WithNewRoot())
	w.describe(span)
	return ctx, span
}

// MaxLinks bounds the links of a span, as OpenTelemetry does by default.
const MaxLinks = 128

// Link links a span to those that traceparents name. What names none is passed over.
func Link(span trace.Span, traceparents ...string) {
	if !span.IsRecording() {
		return
	}
	for _, text := range traceparents {
		if link := linkTo(text); link.SpanContext.IsValid() {
			span.AddLink(link)
		}
	}
}

func linkTo(traceparent string) trace.Link {
	return trace.LinkFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{header: traceparent}))
}

// End ends a span with an outcome, "" for none, and an error that holds no user, nil for none.
func End(span trace.Span, outcome string, err error) {
	if outcome != "" {
		span.SetAttributes(attribute.String("wablock.outcome", outcome))
	}
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

const header = "traceparent" // W3C Trace Context

// Parent returns the traceparent of the span in ctx, "" for none.
func Parent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[header]
}

// Received returns ctx with the span that a request's headers name, if they name one.
func Received(ctx context.Context, h http.Header) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(h))
}

// Recorded returns the trace ID of the span in ctx if the trace is recorded, "" else.
func Recorded(ctx context.Context) string {
	if trace.SpanContextFromContext(ctx).IsSampled() {
		return ID(ctx)
	}
	return ""
}

// ID returns the trace ID of the span in ctx, "" where there is none.
func ID(ctx context.Context) string {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		return sc.TraceID().String()
	}
	return ""
}
