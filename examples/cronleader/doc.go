// Cronleader is a cron worker that may be started any number of times, and
// whose schedule runs once: gocron schedules, Conch decides who runs.
//
// Every worker has the same job, due every so often, which writes one row into
// an SQLite database: which tick it was, which worker ran it, and under which
// token. Nothing in the table keeps a tick from being there twice, so that the
// check command can see whether one is. With --by=elector the workers elect a
// leader that runs every tick; with --by=locker they take a lock for each tick;
// with --by=nothing nobody asks anybody, and every tick runs in every worker.
//
// What a worker does:
//
//  1. It gives gocron an Elector or a Locker of package sdk/gocron, and a job
//     made with its Task.
//  2. When a tick is due, gocron asks whether this worker runs it. Task writes
//     down in the cell that it does, and calls the job with the tick and its
//     token.
//  3. The job shows the token to the database and writes its row, in one
//     transaction: a worker that was paused for so long that another one runs
//     by now is refused there.
//  4. Told to stop it gives the lead back, and another worker leads at once.
//     Killed it does not, and another one leads when its session has expired.
//
// The show command does all of that with a cluster and three workers of its
// own, kills the one that runs, with SIGKILL, and checks the rows.
package main
