// Package e2e tests conch from outside: real processes of the real program, on
// loopback, with the faults that a machine has.
//
//	counter_test.go   twenty competing conch lock commands, the leader killed again and again
//	stopped_test.go   a holder that is stopped past its time and writes late
//	crash_test.go     all nodes killed at once under load
//	powercut_test.go  all nodes lose their power at once (root, Linux)
//	failover_test.go  how long nobody gets a lock after the leader's death
//	silent_test.go    the same when the leader's network falls silent (root, Linux)
//	dev_test.go       how long conch dev needs to be ready
//	refused_test.go   wrong data, ports and settings, and nobody to reach
//	slack_test.go     the timer slack of a server (Linux)
//	disk_test.go      disks that are full, and disks that fail (root, Linux)
//
// Figures are printed and bounded generously, since machines differ; what must
// not be lost is checked without mercy. Tests run one after the other, because
// most of them measure or load the machine.
//
// CONCH_BINARY names a program to test instead of one that is built here.
// CONCH_E2E_LENGTH makes the counter test longer (a duration such as 10m).
// REQUIRE_POWER_CUT and REQUIRE_NETWORK make it a failure when power, or a network,
// cannot be cut.
package e2e
