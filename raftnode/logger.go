package raftnode

import (
	"fmt"

	"github.com/rs/zerolog"
)

// raftLogger hands what the raft library has to say to the log, one level down: its information is for those who look
// for a fault.
type raftLogger struct{ log zerolog.Logger }

func (l raftLogger) Debug(v ...any)                   { l.log.Trace().Msg(fmt.Sprint(v...)) }
func (l raftLogger) Debugf(format string, v ...any)   { l.printf(zerolog.TraceLevel, format, v) }
func (l raftLogger) Info(v ...any)                    { l.log.Debug().Msg(fmt.Sprint(v...)) }
func (l raftLogger) Infof(format string, v ...any)    { l.printf(zerolog.DebugLevel, format, v) }
func (l raftLogger) Warning(v ...any)                 { l.log.Info().Msg(fmt.Sprint(v...)) }
func (l raftLogger) Warningf(format string, v ...any) { l.printf(zerolog.InfoLevel, format, v) }
func (l raftLogger) Error(v ...any)                   { l.log.Error().Msg(fmt.Sprint(v...)) }
func (l raftLogger) Errorf(format string, v ...any)   { l.printf(zerolog.ErrorLevel, format, v) }

// The library calls the following when its own rules are broken; to go on would risk the data.
func (l raftLogger) Fatal(v ...any)                 { panic(fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
func (l raftLogger) Panic(v ...any)                 { panic(fmt.Sprint(v...)) }
func (l raftLogger) Panicf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }

func (l raftLogger) printf(level zerolog.Level, format string, v []any) {
	if e := l.log.WithLevel(level); e.Enabled() && l.log.GetLevel() <= level {
		e.Msg(fmt.Sprintf(format, v...))
	}
}
