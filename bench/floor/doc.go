// Package floor measures what the machine itself can do, in the same run as the
// systems: the time of an fdatasync, of a round trip over loopback, and of a bare
// quorum commit.
//
// The bare quorum commit is three processes without a state machine, without
// elections and without anything that could be left out: a leader takes 256
// bytes from each client over a connection of its own, writes all that has
// arrived to its file with one fdatasync, sends the same to two followers at the
// same time, which do likewise, and answers when its own and one other are on
// disk. A system that commits each request by itself cannot be faster. One that
// carries many clients' requests in one message can.
package floor
