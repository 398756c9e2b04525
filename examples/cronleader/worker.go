package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/conch-lock/conch/sdk"
	conchcron "github.com/conch-lock/conch/sdk/gocron"
)

// jobName is the job's name, and with it that of its election or lock.
const jobName = "cronleader"

// stopTimeout bounds how long a worker takes to say goodbye.
const stopTimeout = 5 * time.Second

// worker is one process of the schedule.
type worker struct {
	settings
	name string
	out  io.Writer

	db *sql.DB
}

// run runs the schedule until ctx ends.
func (w *worker) run(ctx context.Context) (err error) {
	if w.db, err = open(ctx, w.settings.db); err != nil {
		return err
	}
	defer w.db.Close()
	option, task, leave, err := w.agree(ctx)
	if err != nil {
		return err
	}
	scheduler, err := gocron.NewScheduler(option...)
	if err != nil {
		return err
	}
	_, err = scheduler.NewJob(
		gocron.DurationJob(w.every), gocron.NewTask(task), gocron.WithName(jobName),
		// Due at multiples of every, in all workers.
		gocron.WithStartAt(gocron.WithStartDateTime(time.Now().Truncate(w.every).Add(2*w.every))),
	)
	if err != nil {
		return err
	}
	scheduler.Start()
	w.say("is ready")
	<-ctx.Done()

	// The scheduler first: it cancels a job that is under way and waits for it.
	// Then others may take over.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err = errors.Join(scheduler.Shutdown(), leave(stop))
	w.say("has left")
	return err
}

// agree makes what the workers agree by: the scheduler's option, the job, and
// what to do at the end.
func (w *worker) agree(ctx context.Context) (options []gocron.SchedulerOption, task func(context.Context) error, leave func(context.Context) error, err error) {
	if w.by == byNothing {
		return nil, func(ctx context.Context) error {
			return w.tick(ctx, conchcron.Run{Due: time.Now().Round(w.every)}) // as each one sees it
		}, func(context.Context) error { return nil }, nil
	}
	client, err := sdk.Dial(ctx, sdk.Config{Endpoints: w.endpoints, Name: "cronleader " + w.name, SessionTTL: w.ttl})
	if err != nil {
		return nil, nil, nil, err
	}
	if w.by == byLocker {
		l, err := conchcron.NewLocker(client, conchcron.LockerConfig{Every: w.every, TTL: w.ttl, Labels: map[string]string{"worker": w.name}})
		if err != nil {
			return nil, nil, nil, errors.Join(err, client.Close())
		}
		return []gocron.SchedulerOption{gocron.WithDistributedLocker(l)}, l.Task(jobName, w.tick),
			func(ctx context.Context) error { return errors.Join(l.Close(ctx), client.Close()) }, nil
	}
	e, err := conchcron.NewElector(client, conchcron.ElectorConfig{
		Election: jobName, Every: w.every, Options: []sdk.CampaignOption{sdk.WithValue([]byte(w.name))},
	})
	if err != nil {
		return nil, nil, nil, errors.Join(err, client.Close())
	}
	return []gocron.SchedulerOption{gocron.WithDistributedElector(e)}, e.Task(jobName, w.tick),
		func(ctx context.Context) error { return errors.Join(e.Close(ctx), client.Close()) }, nil
}

// tick is the job.
func (w *worker) tick(ctx context.Context, run conchcron.Run) error {
	r := row{due: run.Due, ran: time.Now(), worker: w.name, token: run.Token}
	if err := record(ctx, w.db, r); err != nil {
		w.say("did not run the tick of %s: %v", clock(r.due), err)
		return err
	}
	w.say("ran the tick of %s, token %d", clock(r.due), run.Token)
	return nil
}

func (w *worker) say(format string, args ...any) {
	fmt.Fprintf(w.out, w.name+" "+format+"\n", args...)
}
