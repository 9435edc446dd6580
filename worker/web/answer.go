package web

import "slices"

// The fields of asynqmon's answers by what may be in them. A field in none of these lists is
// text from outside, and masked as such.
var (
	// Made by showPayload and maskBytes.
	maskedFields = []string{"payload", "task_payload", "result"}
	// Names that producers choose.
	nameFields = []string{"id", "task_id", "queue", "group"}
	// Written by asynq or asynqmon itself; a mask would take some of them for numbers.
	ownFields = []string{
		"next_process_at", "start_time", "deadline", "last_failed_at", "completed_at", "timestamp", "date",
		"next_enqueue_at", "prev_enqueue_at", "enqueued_at", "host", "spec",
	}
)

// maskAnswer masks an answer of asynqmon's, v being the value of the field named.
func maskAnswer(field string, v any) any {
	switch v := v.(type) {
	case string:
		switch {
		case slices.Contains(maskedFields, field), slices.Contains(ownFields, field):
			return v
		case slices.Contains(nameFields, field):
			return maskName(v)
		default:
			return maskText(v)
		}
	case []any:
		if field == "tasks" {
			v = slices.DeleteFunc(v, bodiless)
		}
		for i := range v {
			v[i] = maskAnswer(field, v[i])
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[maskName(k)] = maskAnswer(k, e) // some objects have queues' names for keys
		}
		return out
	default:
		return v // counts, sizes and flags
	}
}

// bodiless reports whether a task is one whose body is missing: asynq gives an empty one for it,
// with no ID that a button could name.
func bodiless(task any) bool {
	fields, ok := task.(map[string]any)
	return ok && fields["id"] == ""
}
