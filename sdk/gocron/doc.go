// Package conchcron lets any number of processes run the same gocron schedule
// and each of its ticks happen in one of them, by the elections and locks of
// Conch:
//
//	import conchcron "github.com/conch-lock/conch/sdk/gocron"
//
// It is a module of its own, so that the client library does not bring gocron
// along.
//
// # Two ways
//
//   - [Elector]: the processes elect a leader, and the leader runs every tick of
//     every job. Another one takes over at once when it says goodbye, and when it
//     is killed after the time to live of its session at the latest.
//     gocron.WithDistributedElector takes it.
//   - [Locker]: for each tick of each job the processes take a lock, and who gets
//     it runs. Work spreads over the processes by chance.
//     gocron.WithDistributedLocker takes it, or gocron.WithDistributedJobLocker
//     for one job.
//
// gocron asks one of them only: a scheduler with an elector does not look at
// its locker.
//
// # What is promised
//
// That no tick runs twice, as far as ticks can be told apart. Neither leading
// nor holding a lock is enough for that: a leader that runs a tick and resigns
// in the same instant is followed by another one whose clock is a little late
// and which finds the same tick due; so is a job that is done, and its lock
// free, before a process with a late clock asks for it. Therefore the run of a
// tick is written down in the cell before it begins, in a transaction that only
// whoever leads or holds the lock can make, and that is refused when the tick,
// or a later one, stands there already. What is written is one key for each job.
//
// Ticks are told apart by the time: it is rounded to the nearest multiple of
// Every, the shortest time between two ticks of a job, which should therefore be
// due at such multiples. Cron schedules are; a gocron.DurationJob is when it
// starts at one (gocron.WithStartAt). What the processes' clocks differ by, and
// what a scheduler is late by, must be less than half of Every together.
//
// # What is not promised
//
// That every tick runs. A tick that is due while nobody leads, or that is begun
// by a process that dies in it, is not made up for. And that a paused process
// notices: it may be stopped in the middle of a job, lose the lead, wake up and
// write. What stops that is the token, which [Elector.Task] and [Locker.Task]
// hand to the job with the tick: the resource that the job writes to must refuse a smaller one
// than the largest it has seen (package sdk/fence).
package conchcron
