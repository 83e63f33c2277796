// Package queue carries tasks from the outbox to the workers. It is the only
// package that knows Asynq and Redis: the rest of the code declares a Kind,
// enqueues its tasks in a transaction and handles their arguments. Redis may
// lose everything at any moment: what a message carries is an id, the truth is
// in the database.
package queue
