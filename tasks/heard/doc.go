// Package heard keeps when users wrote last to a phone number ID: Meta lets a business block those who
// wrote to it in the last 24 hours, and refuses others with 131047. Nothing else of a message is kept, and
// the times of seven days alone, of at most [Max] users a phone number ID.
//
// Files: heard.go (what is kept), times.go (what that tells of a user), refusal.go (whether a refused block is asked for again),
// turns.go (how often). [github.com/wablock/wablock/tasks.Producer.Heard] asks for it.
package heard
