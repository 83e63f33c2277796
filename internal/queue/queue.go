// Package queue carries tasks from the outbox to the workers. It is the only package
// that knows Asynq and Redis. The rest of the code declares a Kind, enqueues its
// tasks in a transaction and handles their arguments. Redis may lose everything at
// any moment: a message carries only an id, and the database holds the state.
package queue
