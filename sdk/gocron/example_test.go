package conchcron_test

import (
	"context"
	"log"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/conch-lock/conch/sdk"
	conchcron "github.com/conch-lock/conch/sdk/gocron"
)

// Any number of processes may run this: one sends the report, at nine.
func ExampleElector() {
	client, err := sdk.Dial(context.Background(), sdk.Config{Endpoints: []string{"127.0.0.1:7654"}, SessionTTL: 5 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	elector, err := conchcron.NewElector(client, conchcron.ElectorConfig{Election: "reports", Every: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	defer elector.Close(context.Background())
	scheduler, err := gocron.NewScheduler(gocron.WithDistributedElector(elector))
	if err != nil {
		log.Fatal(err)
	}
	_, err = scheduler.NewJob(gocron.CronJob("0 9 * * *", false), gocron.NewTask(
		elector.Task("daily", func(ctx context.Context, r conchcron.Run) error {
			return send(ctx, r) // which refuses a token smaller than one it has seen
		}),
	))
	if err != nil {
		log.Fatal(err)
	}
	scheduler.Start()
}

// The same with a lock for each run: the processes share the work.
func ExampleLocker() {
	client, err := sdk.Dial(context.Background(), sdk.Config{Endpoints: []string{"127.0.0.1:7654"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	locker, err := conchcron.NewLocker(client, conchcron.LockerConfig{Every: time.Minute, Prefix: "reports/"})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close(context.Background())
	scheduler, err := gocron.NewScheduler(gocron.WithDistributedLocker(locker))
	if err != nil {
		log.Fatal(err)
	}
	_, err = scheduler.NewJob(gocron.CronJob("0 9 * * *", false), gocron.NewTask(locker.Task("daily", send)), gocron.WithName("daily"))
	if err != nil {
		log.Fatal(err)
	}
	scheduler.Start()
}

func send(context.Context, conchcron.Run) error { return nil }
