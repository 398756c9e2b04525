module github.com/conch-lock/conch/sdk/gocron

go 1.26.0

require (
	github.com/conch-lock/conch v0.0.0
	github.com/go-co-op/gocron/v2 v2.21.2
)

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/jonboulle/clockwork v0.5.0 // indirect
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.24 // indirect
	github.com/planetscale/vtprotobuf v0.6.0 // indirect
	github.com/robfig/cron/v3 v3.0.1 // indirect
	github.com/rs/zerolog v1.35.1 // indirect
	github.com/zeebo/errs v1.2.2 // indirect
	golang.org/x/sys v0.49.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
	storj.io/drpc v1.0.0 // indirect
)

replace github.com/conch-lock/conch => ../../
