// Package turbo understands what Turbo and Action Cable of Rails put on the wire:
// names of streams that the application has signed ([Verifier]), and payloads that
// are JSON strings of HTML ([Forms]).
//
// It is pure: no I/O, no clock. Sources: ActiveSupport::MessageVerifier and
// Messages::Metadata of Rails 6.1 to 8.1, Turbo::StreamName of turbo-rails.
package turbo
